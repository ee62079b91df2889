import { variable, VARIABLE_NAMES } from './variables.ts';

const OWN: ReadonlySet<string> = new Set(
  VARIABLE_NAMES.filter((name) => variable(name).isSecret === true),
);

/** Which of these variables may hold secrets: ours that do, and everything that was meant for registry:2. */
export const secretNames = (names: Iterable<string>): readonly string[] =>
  [...names].filter((name) => OWN.has(name) || name.startsWith('REGISTRY_'));
