/** The record without a field that may be absent. */
export const withoutField = <Value extends object, Field extends keyof Value>(
  value: Value,
  field: Field,
): Omit<Value, Field> =>
  Object.fromEntries(Object.entries(value).filter(([name]) => name !== field)) as Omit<
    Value,
    Field
  >;
