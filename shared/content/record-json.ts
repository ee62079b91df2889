import type { z } from 'zod';

/** The record as its schema reads it (unknown fields are ignored: a newer version may have written it), or undefined. */
export function parseRecord<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Buffer,
): z.output<Schema> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}
