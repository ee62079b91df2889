import pLimit from 'p-limit';

import { API_OPERATIONS, type ApiOperation } from './api-operations.ts';
import type { NamedAsker } from './askers.ts';
import { type Answer, codeOf } from './client.ts';
import { apiRefusal, may, type Project, type Told } from './model.ts';
import type { Sent } from './operations.ts';
import type { Registries } from './registries.ts';

interface ApiCell {
  readonly asker: NamedAsker;
  readonly operation: ApiOperation;
  readonly project: Project;
  readonly isAllowed: boolean;
  readonly expected: Told;
  readonly serial: number;
}

const PROJECTS: readonly Project[] = ['public', 'secret', 'others', 'absent'];

/** By passwords for the command line they are like `grouped`. */
const OF_PROVIDER_BY_SESSION = ['twofold', 'both', 'namesake', 'left'];

/** Tokens are refused here, and so are credentials that are not right: a few of them are enough. */
const isAsked = ({ proof, who, title }: NamedAsker): boolean =>
  proof === 'nothing' ||
  proof === 'cookie' ||
  (proof === 'password' && !OF_PROVIDER_BY_SESSION.includes(who)) ||
  (proof === 'token' && ['nobody', 'root'].includes(who)) ||
  ['revoked', 'expired', 'a token of another key'].includes(title);

export const makeApiCells = (askers: readonly NamedAsker[]): readonly ApiCell[] =>
  askers.filter(isAsked).flatMap((asker) =>
    API_OPERATIONS.flatMap((operation) =>
      (operation.task === undefined ? PROJECTS.slice(0, 1) : PROJECTS).map((project) => ({
        operation,
        project,
      })),
    ).map(({ operation, project }, serial) => {
      const { access, task, told } = operation;
      const refused = apiRefusal(asker, access, task, project);
      const isAllowed = refused === undefined;
      const missing = operation.missing ?? { status: 404, code: 'NAME_UNKNOWN' };
      const answer = task !== undefined && project === 'absent' ? missing : told;
      return { asker, operation, project, isAllowed, expected: refused ?? answer, serial };
    }),
  );

const AT_ONCE = 32;

interface ApiOutcome {
  readonly cell: ApiCell;
  readonly answer: Answer;
}

export async function askApi(
  cells: readonly ApiCell[],
  { client }: Registries,
): Promise<readonly ApiOutcome[]> {
  const limit = pLimit(AT_ONCE);
  return await Promise.all(
    cells.map((cell) =>
      limit(async () => {
        const { asker, operation, project, isAllowed, serial } = cell;
        const { body, method, path } = operation;
        const fields = body?.(isAllowed);
        const credentials = await asker.headers({
          ...{ role: 'push', scope: `${project}/app`, source: undefined },
          // Other addresses than those of the other questions.
          serial: serial + 100_000,
        });
        const sent: Sent = {
          method,
          path: path(project, isAllowed),
          ...(fields && {
            headers: { 'content-type': 'application/json' },
            body: Buffer.from(JSON.stringify(fields)),
          }),
        };
        return { cell, answer: await client.send('push', sent, credentials) };
      }),
    ),
  );
}

const titleOf = ({ asker, operation, project }: ApiCell): string =>
  `${asker.title}: ${operation.id} (${operation.task ?? operation.access}): ${project}`;

/** What is wrong with the answers, each as a line. */
export const apiComplaints = (outcomes: readonly ApiOutcome[]): readonly string[] =>
  outcomes.flatMap(({ cell, answer }) => {
    const { expected } = cell;
    const found = codeOf(answer);
    const isRight =
      answer.status === expected.status &&
      (expected.code === undefined || found === expected.code) &&
      answer.body.includes(expected.says ?? '');
    const got = `${answer.status} ${found ?? ''} ${answer.body.toString('utf8', 0, 100)}`;
    return isRight ? [] : [`${titleOf(cell)}: got ${got}, expected ${JSON.stringify(expected)}`];
  });

const maySee = ({ who, proof }: NamedAsker, project: Project): boolean =>
  (proof === 'password' || proof === 'cookie') &&
  project !== 'absent' &&
  may(who, 'pull', { kind: 'project', project }, 'push');

/** Refusals for a project that is private that are not like those for one that is not there. */
export function apiUnlike(outcomes: readonly ApiOutcome[]): readonly string[] {
  const seen = new Map<string, string>();
  return outcomes.flatMap(({ cell, answer: { status, headers, body } }) => {
    const { asker, operation, project, isAllowed } = cell;
    // What is public may be told from all else.
    if (isAllowed || project === 'public' || asker.who === 'root') return [];
    // Who may see a project may be told that he may do nothing to it.
    if (operation.task !== undefined && maySee(asker, project)) return [];
    const shown = Object.entries(headers).filter(([header]) => header !== 'date');
    const text = JSON.stringify([status, shown, body.toString()]).replaceAll(project, '<project>');
    const key = `${asker.title} ${operation.id} ${operation.task ?? ''}`;
    const first = seen.get(key) ?? text;
    seen.set(key, first);
    return first === text ? [] : [`${titleOf(cell)}: ${text} | ${first}`];
  });
}
