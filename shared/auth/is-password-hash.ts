/** True for a bcrypt hash that passwords can be compared with. */
export const isPasswordHash = (hash: string): boolean =>
  /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/.test(hash);
