import pLimit from 'p-limit';

import { API_OPERATIONS, type ApiOperation } from './api-operations.ts';
import type { NamedAsker } from './askers.ts';
import { type Answer, codeOf } from './client.ts';
import { apiRefusal, type Project, type Told } from './model.ts';
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

/** Tokens are refused here, and so are credentials that are not right: a few of them are enough. */
const isAsked = ({ proof, who, title }: NamedAsker): boolean =>
  proof === 'nothing' ||
  proof === 'password' ||
  (proof === 'token' && ['nobody', 'developer', 'root', 'builder'].includes(who)) ||
  ['revoked', 'mistaken', 'expired', 'a token that is none', 'a token of another key'].includes(
    title,
  );

export const makeApiCells = (askers: readonly NamedAsker[]): readonly ApiCell[] =>
  askers.filter(isAsked).flatMap((asker) =>
    API_OPERATIONS.flatMap((operation) =>
      (operation.task === undefined ? PROJECTS.slice(0, 1) : PROJECTS).map((project) => ({
        operation,
        project,
      })),
    )
      .map(({ operation, project }, serial) => {
        const { access, task, told } = operation;
        const refused = apiRefusal(asker, access, task, project);
        const isAllowed = refused === undefined;
        const missing = operation.missing ?? { status: 404, code: 'NAME_UNKNOWN' };
        const answer = task !== undefined && project === 'absent' ? missing : told;
        return { asker, operation, project, isAllowed, expected: refused ?? answer, serial };
      })
      .filter(({ operation, isAllowed }) => !(isAllowed && operation.isHarmful === true)),
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
      answer.status === expected.status && (expected.code === undefined || found === expected.code);
    const got = `${answer.status} ${found ?? ''}`;
    return isRight ? [] : [`${titleOf(cell)}: got ${got}, expected ${JSON.stringify(expected)}`];
  });

/** Refusals for a project that is private that are not like those for one that is not there. */
export function apiUnlike(outcomes: readonly ApiOutcome[]): readonly string[] {
  const seen = new Map<string, string>();
  return outcomes.flatMap(({ cell, answer: { status, headers, body } }) => {
    const { asker, operation, project, isAllowed } = cell;
    // What is public may be told from all else.
    if (isAllowed || project === 'public' || asker.who === 'root') return [];
    if (status === 403) return [];
    const shown = Object.entries(headers).filter(([header]) => header !== 'date');
    const text = JSON.stringify([status, shown, body.toString()]).replaceAll(project, '<project>');
    const key = `${asker.title} ${operation.id} ${operation.task ?? ''}`;
    const first = seen.get(key) ?? text;
    seen.set(key, first);
    return first === text ? [] : [`${titleOf(cell)}: ${text} | ${first}`];
  });
}
