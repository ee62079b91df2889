/** Somebody who proved who he is. */
export interface Identity {
  readonly kind: 'user' | 'robot';
  /**
   * Stable and unique over all sources: `local:alice`, `htpasswd:alice`, `ldap:alice`, `oidc:<issuer>#<sub>`,
   * `robot:<project>+<name>`, `workload:<issuer>#<sub>`. Rights hang on it, never on the name.
   */
  readonly id: string;
  /** As people write it; `sub` of tokens, and what the audit log shows. */
  readonly name: string;
  /** `<source>:<group>`, for example `ldap:developers`. */
  readonly groups: readonly string[];
  readonly isAdmin: boolean;
}

export const ROBOT_ID_PREFIX = 'robot:';

/** Whether the id is that of an account which a project made for a program. */
export const isRobotOfProject = (id: string): boolean => id.startsWith(ROBOT_ID_PREFIX);
