import type { ExpectedHeaders } from './call-table.ts';

/** A repository as clients of one role spell it. */
export interface ReadView {
  readonly name: string;
  /** Sent as `ns`, and echoed. */
  readonly namespace?: string;
}

/** The path of something in the repository, with `ns` and the query. */
export const pathIn = ({ name, namespace }: ReadView, rest: string, query = ''): string => {
  const ns = namespace === undefined ? '' : `ns=${namespace}`;
  const parameters = [ns, query].filter((part) => part !== '').join('&');
  return `/v2/${name}/${rest}${parameters === '' ? '' : `?${parameters}`}`;
};

/** What each answer says of `ns`. */
export const echoOf = ({ namespace }: ReadView): ExpectedHeaders => ({
  'OCI-Namespace': namespace,
});
