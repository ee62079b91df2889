import pLimit from 'p-limit';

import type { NamedAsker } from './askers.ts';
import { type Cell, describeCell } from './cells.ts';
import { type Answer, codeOf } from './client.ts';
import type { Name } from './names.ts';
import type { Sent, Target } from './operations.ts';
import type { Registries } from './registries.ts';

const AT_ONCE = 64;
const NOBODYS_SESSION = '00000000-0000-4000-8000-000000000000';

export interface Outcome {
  readonly cell: Cell;
  readonly answer: Answer;
  readonly sent: Sent;
}

/** Asks everything, some at once. */
export class CellRun {
  readonly #registries: Registries;
  readonly #sessions = new Map<string, string>();
  #marks = 0;

  constructor(registries: Registries) {
    this.#registries = registries;
  }

  async run(cells: readonly Cell[]): Promise<readonly Outcome[]> {
    for (const repository of ['public/app', 'secret/app', 'others/app']) {
      this.#sessions.set(repository, await this.#open(repository));
    }
    const limit = pLimit(AT_ONCE);
    return await Promise.all(cells.map((cell) => limit(() => this.#ask(cell))));
  }

  async #ask(cell: Cell): Promise<Outcome> {
    const { role, asker, operation, serial, isAllowed } = cell;
    // Those who may not try it with what is there.
    const isMade = isAllowed && operation.isRead !== true;
    const mark = isMade ? this.#nextMark() : '';
    const name = isMade ? ownName(cell.name, mark) : cell.name;
    const target: Target = { name, mark, session: await this.#sessionFor(cell) };
    if (isMade && name.isThere && name.isReadOnly !== true) {
      for (const sent of operation.before?.(target) ?? []) await this.#registries.asRoot(sent);
    }
    const { source } = operation;
    const headers = await asker.headers({
      role,
      scope: isMade && name !== cell.name ? name.spelling : cell.name.scope,
      source: source === undefined ? undefined : `${source}/app`,
      serial,
    });
    const sent = operation.send(target);
    return { cell, sent, answer: await this.#registries.client.send(role, sent, headers) };
  }

  async #sessionFor({ operation, name, isAllowed }: Cell): Promise<string> {
    if (operation.session === 'foreign') {
      const from = name.spelling.startsWith('secret/') ? 'others/app' : 'secret/app';
      return this.#sessions.get(from) ?? '';
    }
    if (operation.session === 'own' && isAllowed && name.isThere && name.isReadOnly !== true) {
      return await this.#open(name.spelling);
    }
    return this.#sessions.get(name.spelling.replace(/^local\//, '')) ?? NOBODYS_SESSION;
  }

  async #open(repository: string): Promise<string> {
    const path = `/v2/${repository}/blobs/uploads/`;
    const { headers } = await this.#registries.asRoot({ method: 'POST', path });
    return String(headers['docker-upload-uuid']);
  }

  #nextMark(): string {
    this.#marks += 1;
    return this.#marks.toString(36).padStart(5, '0');
  }
}

/** What is not there is made by nobody for somebody else. */
function ownName(name: Name, mark: string): Name {
  const { spelling, isThere, place, isReadOnly } = name;
  if (isThere || place.kind === 'upstream' || isReadOnly === true) return name;
  const own =
    place.project === 'absent' ? `z${mark}/app` : `${spelling.split('/')[0] ?? ''}/z${mark}`;
  return { ...name, spelling: own };
}

/** What is wrong with an answer, as a line; undefined when nothing is. */
export function complaint({ cell, answer, sent }: Outcome): string | undefined {
  const { expected } = cell;
  const found = sent.method === 'HEAD' ? undefined : codeOf(answer);
  const wanted = sent.method === 'HEAD' ? undefined : expected.code;
  if (answer.status === expected.status && found === wanted) return undefined;
  const got = [answer.status, found].filter((part) => part !== undefined).join(' ');
  const should = [expected.status, wanted].filter((part) => part !== undefined).join(' ');
  return `${describeCell(cell)}: got ${got}, expected ${should}  (${sent.method} ${sent.path.slice(0, 100)})`;
}

/** Refused requests that somebody could tell from others like them, and so learn what is there. */
export function unlike(outcomes: readonly Outcome[]): readonly string[] {
  const groups = new Map<string, { readonly seen: string; readonly outcome: Outcome }>();
  const complaints: string[] = [];
  for (const outcome of outcomes) {
    const { cell, answer } = outcome;
    const { role, asker, operation, name, isAllowed } = cell;
    if (isAllowed) continue;
    const key = JSON.stringify([role, titleOf(asker), operation.title, name.likes]);
    const seen = appearance(answer, name);
    const first = groups.get(key);
    if (!first) groups.set(key, { seen, outcome });
    else if (first.seen !== seen) {
      complaints.push(
        `${describeCell(cell)} is not like ${first.outcome.cell.name.spelling}: ${firstDifference(seen, first.seen)}`,
      );
    }
  }
  return complaints;
}

const titleOf = ({ title }: NamedAsker): string => title;

function firstDifference(one: string, other: string): string {
  let at = 0;
  while (one[at] === other[at]) at += 1;
  const part = (text: string): string => text.slice(Math.max(0, at - 30), at + 40);
  return `${part(one)} | ${part(other)}`;
}

/** Everything that an answer shows, its date and what the asker himself has written aside. */
function appearance({ status, headers, body }: Answer, { spelling }: Name): string {
  const shown = Object.entries(headers).filter(([header]) => header !== 'date');
  return JSON.stringify([status, shown, body.toString('utf8')]).replaceAll(spelling, '<name>');
}
