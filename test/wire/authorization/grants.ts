import jwt from 'jsonwebtoken';
import pLimit from 'p-limit';

import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { inTurn } from './accounts.ts';
import { codeOf } from './client.ts';
import { granted, isEndured, may, type Place, type Right, type Role } from './model.ts';
import { type Name, NAMES } from './names.ts';
import type { Registries } from './registries.ts';
import { SERVICES } from './token-desk.ts';

const PEOPLE = ['nobody', 'stranger', 'guest', 'developer', 'maintainer', 'keeper', 'root'];
const OF_PROVIDER = ['grouped', 'twofold', 'both', 'namesake', 'left'];
const ROBOTS = ['puller', 'pusher', 'builder', 'sweeper', 'elsewhere', 'leftover'];
const UNKNOWN = ['revoked', 'mistaken', 'expired', 'switched-off'];
const EVERYTHING: readonly Right[] = ['pull', 'push', 'delete'];
const ASKED: readonly (readonly [words: string, rights: readonly Right[]])[] = [
  ['pull', ['pull']],
  ['push', ['push']],
  ['pull,push', ['pull', 'push']],
  ['*', EVERYTHING],
  ['fly', []],
];

/** A question to a token service, and what its token should say; `undefined`: there is none. */
interface Question {
  readonly title: string;
  readonly role: Role;
  readonly who: string;
  readonly isKnown: boolean;
  readonly query: string;
  readonly expected:
    readonly { readonly name: string; readonly actions: readonly string[] }[] | undefined;
}

export function makeQuestions(role: Role): readonly Question[] {
  const names = new Map(NAMES[role].map((name) => [name.scope, name]));
  return [...names.values()].flatMap((name) =>
    ASKED.flatMap(([words, rights]) =>
      [...PEOPLE, ...UNKNOWN, ...(words === '*' ? [...ROBOTS, ...OF_PROVIDER] : [])].map((who) =>
        question(role, who, name, [words, rights]),
      ),
    ),
  );
}

function question(
  role: Role,
  who: string,
  { scope, place }: Name,
  [words, rights]: (typeof ASKED)[number],
): Question {
  const isKnown = !UNKNOWN.includes(who);
  const actions = granted(isKnown ? who : 'nobody', rights, place, role);
  const isAnswered = isKnown || (rights.length > 0 && isEndured(rights, place, role));
  return {
    title: `${role}: ${who}: repository:${scope}:${words}`,
    role,
    who,
    isKnown,
    query: `&scope=repository:${scope}:${words}`,
    expected: isAnswered ? (actions.length === 0 ? [] : [{ name: scope, actions }]) : undefined,
  };
}

const AT_ONCE = 64;

/** What is wrong with the answers. */
export async function complaintsAbout(
  questions: readonly Question[],
  { client, accounts }: Registries,
): Promise<readonly string[]> {
  const limit = pLimit(AT_ONCE);
  const complaints = await Promise.all(
    questions.map(({ title, role, who, isKnown, query, expected }, serial) =>
      limit(async () => {
        const account = accounts.get(isKnown ? who : inTurn(who, serial));
        const address = `10.200.${serial >> 8}.${serial & 255}`;
        const answer = await client.send(
          role,
          { method: 'GET', path: `/auth/token?service=${SERVICES[role]}${query}` },
          account && {
            authorization: basic(...account),
            ...(!isKnown && { 'x-forwarded-for': address }),
          },
        );
        const isRight =
          expected === undefined
            ? answer.status === 401 && codeOf(answer) === 'UNAUTHORIZED'
            : answer.status === 200 && isSame(accessOf(answer.body), expected);
        const got = answer.status === 200 ? accessOf(answer.body) : answer.status;
        return isRight
          ? []
          : [`${title}: got ${JSON.stringify(got)}, expected ${JSON.stringify(expected)}`];
      }),
    ),
  );
  return complaints.flat();
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

interface Claims {
  readonly access: readonly { readonly name: string; readonly actions: readonly string[] }[];
}

function accessOf(body: Buffer): unknown {
  const { token } = JSON.parse(body.toString('utf8')) as { token: string };
  const { access } = jwt.decode(token) as unknown as Claims;
  return access.map(({ name, actions }) => ({ name, actions }));
}

/** What the store holds before anybody has asked for anything, and whose it is. */
const STORED: Readonly<Record<string, (role: Role) => Place>> = {
  'cached/app': () => ({ kind: 'project', project: 'cached' }),
  'mirror/library/hello': () => ({ kind: 'upstream', isShared: false }),
  'others/app': () => ({ kind: 'project', project: 'others' }),
  'public/app': () => ({ kind: 'project', project: 'public' }),
  'secret/app': () => ({ kind: 'project', project: 'secret' }),
  // The push service serves none of it, and shows it to administrators alone.
  'vault/team/app': (role) =>
    role === 'mirror'
      ? { kind: 'upstream', isShared: true }
      : { kind: 'project', project: 'absent' },
};

/** What a list of repositories should have of these, for somebody. */
export const listedFor = (who: string, role: Role): readonly string[] =>
  Object.entries(STORED)
    .filter(([, placeAt]) => may(who, 'pull', placeAt(role), role))
    .map(([name]) => name);

export const isStored = (name: string): boolean => Object.hasOwn(STORED, name);

export const KNOWN = [...PEOPLE, ...OF_PROVIDER, ...ROBOTS];
