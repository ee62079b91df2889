/** Somebody whose password this registry keeps. */
export const ALICE = {
  kind: 'user',
  id: 'local:alice',
  name: 'alice',
  groups: [],
  isAdmin: false,
} as const;
