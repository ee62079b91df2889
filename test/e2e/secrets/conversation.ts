import {
  send,
  type TestAnswer,
  type TestRequest,
} from '../../../shared/http/testing/http-client.ts';
import type { Canaries } from './canaries.ts';

export type Role = 'push' | 'mirror';

/** A request with credentials. */
export const as = (authorization: string, more: TestRequest = {}): TestRequest => ({
  ...more,
  headers: { ...more.headers, authorization },
});

export const form = (fields: Record<string, string>): TestRequest => ({
  method: 'POST',
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: new URLSearchParams(fields).toString(),
});

export const json = (method: string, body: unknown): TestRequest => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

/** Everything that clients ask of both roles, and what they are told: secrets that are made later are found in it, too. */
export class Conversation {
  readonly #ports: Readonly<Record<Role, { readonly port: number }>>;
  readonly #canaries: Canaries;
  readonly #told: { readonly target: string; readonly text: string }[] = [];

  constructor(ports: Readonly<Record<Role, { readonly port: number }>>, canaries: Canaries) {
    this.#ports = ports;
    this.#canaries = canaries;
  }

  /** What is told has no secret in it. */
  async ask(role: Role, target: string, request: TestRequest = {}): Promise<TestAnswer> {
    const answer = await this.receive(role, target, request);
    const text = `${JSON.stringify(answer.headers)}\n${answer.body.toString()}`;
    this.#told.push({ target, text });
    return answer;
  }

  /** An answer that brings somebody a secret of his own. */
  async receive(role: Role, target: string, request: TestRequest = {}): Promise<TestAnswer> {
    return await send(this.#ports[role].port, target, request);
  }

  /** A token for a scope, by the one that stands in for the password where there is one. */
  async token(role: Role, scope: string, authorization: string): Promise<string> {
    const service = role === 'push' ? 'twinport' : 'twinport-mirror';
    const asked = `/auth/token?service=${service}&scope=${scope}&offline_token=true`;
    const given = this.#given(await this.receive(role, asked, as(authorization)));
    const { refresh_token: refresh } = given;
    if (refresh !== undefined) {
      this.#canaries.note('a token in place of a password', refresh.slice(-43));
      const again = form({ grant_type: 'refresh_token', refresh_token: refresh, service, scope });
      this.#given(await this.receive(role, '/auth/token', again));
    }
    return this.#canaries.bearer('a token', given.token);
  }

  #given({ status, body }: TestAnswer): { token: string; refresh_token?: string } {
    if (status !== 200) throw new Error(`no token: ${status} ${body.toString()}`);
    const given = JSON.parse(body.toString()) as {
      token?: string;
      access_token: string;
      refresh_token?: string;
    };
    const token = given.token ?? given.access_token;
    this.#canaries.bearer('a token', token);
    return { ...given, token };
  }

  /** Whose secrets stand in what clients were told. */
  found(): readonly string[] {
    return this.#told.flatMap(({ target, text }) =>
      this.#canaries.in(`the answer to ${target}`, text),
    );
  }
}
