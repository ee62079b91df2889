import pLimit from 'p-limit';

import type { NamedAsker } from './askers.ts';
import { type Cell, describeCell } from './cells.ts';
import { type Answer, codeOf } from './client.ts';
import { CONTENT, type Name } from './names.ts';
import type { Sent, Target } from './operations.ts';
import type { Headers, Registries } from './registries.ts';

const AT_ONCE = 64;
const NOBODYS_SESSION = '00000000-0000-4000-8000-000000000000';

export interface Outcome {
  readonly cell: Cell;
  readonly answer: Answer;
  readonly sent: Sent;
}

type Asked = Pick<Registries, 'client' | 'asRoot' | 'ownersOf'>;

/** Asks everything, some at once. */
export class CellRun {
  readonly #registries: Asked;
  /** Of the first owner. */
  readonly #sessions = new Map<string, string>();
  /** Of somebody else, who may push there. */
  readonly #others = new Map<string, string>();
  #marks = 0;

  constructor(registries: Asked) {
    this.#registries = registries;
  }

  async run(cells: readonly Cell[]): Promise<readonly Outcome[]> {
    for (const repository of ['public/app', 'secret/app', 'others/app']) {
      const [one, other] = this.#registries.ownersOf(repository);
      this.#sessions.set(repository, await this.#open(repository, one));
      this.#others.set(repository, await this.#open(repository, other));
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
    const { source } = operation;
    const headers = (): Promise<Headers> =>
      asker.headers({
        role,
        scope: isMade && name !== cell.name ? name.spelling : cell.name.scope,
        source: source === undefined ? undefined : `${source}/app`,
        serial,
      });
    const target: Target = { name, mark, session: await this.#sessionFor(cell, headers) };
    if (isMade && name.isThere && name.isReadOnly !== true) {
      for (const sent of operation.before?.(target) ?? []) await this.#registries.asRoot(sent);
    }
    const sent = operation.send(target);
    const answer = await this.#registries.client.send(role, sent, await headers());
    return { cell, sent, answer };
  }

  async #sessionFor(
    { operation, name, isAllowed, asker }: Cell,
    headers: () => Promise<Headers>,
  ): Promise<string> {
    const repository = name.spelling.replace(/^local\//, '');
    if (operation.session === 'foreign') {
      const from = name.spelling.startsWith('secret/') ? 'others/app' : 'secret/app';
      return this.#sessions.get(from) ?? '';
    }
    if (operation.session === 'own' && isAllowed && name.isThere && name.isReadOnly !== true) {
      return await this.#open(name.spelling, await headers());
    }
    const sessions = asker.who === 'root' ? this.#others : this.#sessions;
    return sessions.get(repository) ?? NOBODYS_SESSION;
  }

  async #open(repository: string, as: Headers): Promise<string> {
    const sent = { method: 'POST', path: `/v2/${repository}/blobs/uploads/` };
    const { status, headers } = await this.#registries.client.send('push', sent, as);
    if (status !== 202) throw new Error(`${repository}: no upload session, but ${status}`);
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

/** Digests of what a repository holds and words that stand in it, by whose they are. */
const MARKS = Object.entries(CONTENT).map(([owner, content]) => ({
  owner: owner as keyof typeof CONTENT,
  marks: [
    ...[content.config, content.layer, content.manifest, content.index, content.referrer].map(
      ({ digest }) => digest.slice('sha256:'.length),
    ),
    content.layer512.slice('sha512:'.length),
    content.layer.bytes.toString('utf8', 0, 30),
  ],
}));

/** Answers that show something of a repository that was not asked for: not its bytes, and not what they are called. */
export const leaks = (outcomes: readonly Outcome[]): readonly string[] =>
  outcomes.flatMap((outcome) => {
    const { cell, answer, sent } = outcome;
    const text = JSON.stringify(answer.headers) + answer.body.toString('utf8');
    const shown = MARKS.filter(
      ({ owner, marks }) =>
        !(cell.isAllowed && cell.name.isThere && CONTENT[owner] === cell.name.content) &&
        // What somebody asks for may be said to him.
        marks.some((mark) => text.includes(mark) && !sent.path.includes(mark)),
    );
    return shown.map(({ owner }) => `${describeCell(cell)} shows something of ${owner}`);
  });

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
