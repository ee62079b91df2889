import { get, type IncomingMessage } from 'node:http';

import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { PeerAnswer, PeerFills, PeerQuestion } from '../fill/peer-fills.ts';
import { FollowedBody } from './followed-body.ts';
import { formatQuestion, STATUS_OF, TOTAL_BYTES_HEADER } from './fill-question.ts';
import type { PeerSecret } from './peer-secret.ts';
import { signRequest } from './request-signature.ts';

/** A process that works answers within less: it says so when it has nothing to tell yet. */
const ANSWER_MS = 4_000;

const ANSWERS = new Map<number, PeerAnswer>(
  (['pending', 'unproved', 'absent', 'behind', 'refused'] as const).map((kind) => [
    STATUS_OF[kind],
    { kind },
  ]),
);

/** Asks other processes of the store for their fills, as startFillServer serves them. */
export class FillClient implements PeerFills {
  readonly #secret: PeerSecret;
  readonly #clock: Clock;

  constructor(secret: PeerSecret, clock: Clock) {
    this.#secret = secret;
    this.#clock = clock;
  }

  async open(url: string, question: PeerQuestion, signal: AbortSignal): Promise<PeerAnswer> {
    const target = URL.parse(formatQuestion(question), url);
    if (target?.protocol !== 'http:') return { kind: 'refused' };
    let secret: string;
    try {
      secret = await this.#secret.current();
    } catch {
      // The store is away: without the secret nobody answers.
      signal.throwIfAborted();
      return { kind: 'refused' };
    }
    const answer = await this.#ask(target, secret, question, signal);
    if (answer.kind !== 'refused') return answer;
    const newer = await this.#secret.reread().catch(() => secret);
    return newer === secret ? answer : this.#ask(target, newer, question, signal);
  }

  async #ask(
    target: URL,
    secret: string,
    { fromByte }: PeerQuestion,
    signal: AbortSignal,
  ): Promise<PeerAnswer> {
    const path = `${target.pathname}${target.search}`;
    const signed = { audience: target.host, path };
    const authorization = signRequest(secret, signed, this.#clock.now());
    const response = await send(target, authorization, signal);
    signal.throwIfAborted();
    if (!response) return { kind: 'unreachable' };
    const known = ANSWERS.get(response.statusCode ?? 0);
    const length = response.headers[TOTAL_BYTES_HEADER];
    if (response.statusCode === 200 && typeof length === 'string' && /^\d{1,15}$/.test(length)) {
      const totalBytes = Number(length);
      const body = new FollowedBody(response, totalBytes - fromByte, this.#clock);
      return {
        kind: 'following',
        totalBytes,
        body,
        idleMs: () => body.idleMs(),
        storeOver: body.over,
        close: () => response.destroy(),
      };
    }
    response.on('error', () => undefined).destroy();
    return known ?? { kind: 'refused' };
  }
}

/** The answer's head; undefined when there was none in time. Redirects are not followed. */
function send(
  target: URL,
  authorization: string,
  signal: AbortSignal,
): Promise<IncomingMessage | undefined> {
  return new Promise((resolve) => {
    const request = get(target, { agent: false, headers: { authorization }, signal }, resolve);
    const timer = setTimeout(() => request.destroy(), ANSWER_MS);
    request.once('response', () => clearTimeout(timer));
    request.on('error', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
    request.once('close', () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
