import { z } from 'zod';

import type { KnownPerson, People } from '../../management/people.ts';
import { registryError } from '../../oci/errors.ts';
import { identityOf } from '../caller.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { NEXT, PAGE_QUERY, visiblePageOf } from '../paging.ts';

const PERSON = z.object({
  id: z.string(),
  name: z.string(),
  groups: z.array(z.string()),
  isAdmin: z.boolean(),
  signedInAt: z.string(),
  disabled: z.boolean(),
});
/** The ids of users of this registry, of robots and of programs are of sources that have their own way. */
const VOUCHED = /^(?:ldap|oidc):\S.{0,510}$/u;

export interface PeopleEndpointsDependencies {
  readonly people: Pick<People, 'list' | 'setLocked'>;
  /** Called when somebody was locked out: who was signed in is asked again. */
  readonly onChange: () => void;
}

/** `/api/v1/people`: those for whom a directory or a provider vouches, for administrators. */
export const peopleEndpoints = ({ people, onChange }: PeopleEndpointsDependencies): Endpoint[] => [
  endpoint({
    method: 'GET',
    path: '/api/v1/people',
    id: 'listPeople',
    summary: 'People of a directory or a provider as they last signed in, by id',
    access: 'admin',
    query: PAGE_QUERY,
    reply: z.object({ people: z.array(PERSON), next: NEXT }),
    status: 200,
    answer: async ({ query, signal }) => {
      const all = await people.list(signal);
      const { entries, ...rest } = await visiblePageOf(all, ({ identity }) => identity.id, query);
      return { value: { people: entries.map(described), ...rest } };
    },
  }),
  endpoint({
    method: 'PATCH',
    path: '/api/v1/people/{person}',
    id: 'changePerson',
    summary: 'Lock somebody out, also before he ever came, or let him in again',
    access: 'admin',
    body: z.object({ disabled: z.boolean() }),
    status: 204,
    audit: {
      action: 'change-right',
      about: ({ parameters, body }) => ({
        subject: `person ${parameters.person}: disabled ${String(body.disabled)}`,
      }),
    },
    answer: async ({ caller, parameters, body, signal }) => {
      const { person: id } = parameters;
      if (!VOUCHED.test(id)) {
        throw registryError('NAME_INVALID', {
          message: 'people of other sources are written as in ldap:bob or oidc:<issuer>#<subject>',
        });
      }
      if (identityOf(caller)?.id === id) {
        throw registryError('DENIED', { message: 'nobody does this to his own account' });
      }
      await people.setLocked(id, body.disabled, signal);
      onChange();
      return {};
    },
  }),
];

const described = ({ identity, signedInAt, isLocked }: KnownPerson): object => {
  const { id, name, groups, isAdmin } = identity;
  return { id, name, groups: [...groups], isAdmin, signedInAt, disabled: isLocked };
};
