import type { LdapConfig } from '../auth/ldap/ldap-config.ts';
import type { Values } from './variables.ts';

/** A directory as it is configured: the authorities are still in their file. */
export interface LdapSettings extends Omit<LdapConfig, 'certificateAuthorities'> {
  readonly caFile: string | undefined;
}

/** Undefined: no directory is asked. */
export function createLdap(values: Values): LdapSettings | undefined {
  const { AUTH_LDAP_URL: url, AUTH_LDAP_GROUP_BASE: groupBase } = values;
  const { AUTH_LDAP_BIND_DN: dn, AUTH_LDAP_BIND_PASSWORD: password } = values;
  if (url === undefined) return undefined;
  return {
    url,
    startTls: values.AUTH_LDAP_START_TLS,
    caFile: values.AUTH_LDAP_CA_FILE,
    account: dn === undefined ? undefined : { dn, password: password ?? '' },
    users: {
      base: values.AUTH_LDAP_USER_BASE ?? '',
      filter: values.AUTH_LDAP_USER_FILTER,
      nameAttribute: values.AUTH_LDAP_USER_ATTRIBUTE,
    },
    groups: groupBase === undefined ? undefined : groupsBelow(groupBase, values),
    adminGroup: values.AUTH_LDAP_ADMIN_GROUP,
  };
}

function groupsBelow(base: string, values: Values): NonNullable<LdapConfig['groups']> {
  const { AUTH_LDAP_GROUP_FILTER: filter, AUTH_LDAP_GROUP_ATTRIBUTE: nameAttribute } = values;
  if (filter === undefined) return { kind: 'memberOf', base };
  return { kind: 'search', base, filter, nameAttribute };
}
