import { request } from 'node:http';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import { serverThatAnswers } from '../../../shared/http/testing/server-that-answers.ts';
import { MemoryRecordStore } from '../../../shared/index/testing/memory-record-store.ts';
import { systemClock } from '../../../shared/lifecycle/clock.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import { FillRegistry } from '../fill/fill-registry.ts';
import { OfferedFills } from '../fill/offered-fills.ts';
import { FillClient } from './fill-client.ts';
import { formatQuestion } from './fill-question.ts';
import { type FillServer, startFillServer } from './fill-server.ts';
import { configuredSecret, StoredSecret } from './peer-secret.ts';
import { signRequest } from './request-signature.ts';

const SECRET = 'a secret that is long enough for this';
const QUESTION = {
  digest: digestOf(Buffer.from('x')),
  fromByte: 0,
  reader: 'mirror/library/hello http://upstream anybody',
  isProved: true,
};
const unending = new AbortController().signal;

describe('the port for other mirrors', () => {
  let server: FillServer;
  let edge: RecordedEdge;
  const start = async (secret = configuredSecret(SECRET)): Promise<FillServer> =>
    startFillServer({
      fills: new OfferedFills(new FillRegistry(), systemClock),
      secret,
      clock: systemClock,
      log: edge.log,
      host: '127.0.0.1',
      port: 0,
      url: undefined,
    });
  beforeEach(async () => {
    edge = new RecordedEdge();
    server = await start();
  });
  afterEach(() => server.close());

  function status(path: string, authorization?: string, method = 'GET'): Promise<number> {
    return new Promise((resolve, reject) => {
      const headers = authorization === undefined ? {} : { authorization };
      const outgoing = request(new URL(path, server.url), { method, headers, agent: false });
      outgoing.once('response', (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      outgoing.once('error', reject).end();
    });
  }

  test('answers whoever knows the secret, and refuses everybody and everything else alike', async () => {
    const path = formatQuestion(QUESTION);
    const sign = (asked: string, secret = SECRET): string =>
      signRequest(secret, { audience: new URL(server.url).host, path: asked }, new Date());
    expect(await status(path, sign(path))).toBe(404);
    expect(await status('/v2/', sign('/v2/'))).toBe(404);
    expect(await status(path)).toBe(401);
    expect(await status(path, sign(path, `${SECRET}!`))).toBe(401);
    expect(await status(path, sign(path), 'POST')).toBe(401);
    expect(await status('/v2/')).toBe(401);
    expect(await status('/metrics')).toBe(401);
    const once = sign(path);
    expect(await status(path, once)).toBe(404);
    expect(await status(path, once)).toBe(401);
  });

  test('outlives connections that cannot be accepted', async () => {
    const serving = await serverThatAnswers(() => status('/v2/'));
    for (const code of ['EMFILE', 'ENFILE']) {
      serving.emit('error', Object.assign(new Error('accept'), { code }));
    }
    expect(await status('/v2/')).toBe(401);
    expect(edge.lines.map(({ message }) => message)).toEqual(
      Array(2).fill('a connection could not be accepted'),
    );
  });

  test('is asked by the client in that way', async () => {
    const friend = new FillClient(configuredSecret(SECRET), systemClock);
    expect(await friend.open(server.url, QUESTION, unending)).toEqual({ kind: 'absent' });
    const stranger = new FillClient(configuredSecret(`${SECRET}!`), systemClock);
    expect(await stranger.open(server.url, QUESTION, unending)).toEqual({ kind: 'refused' });
    expect(await friend.open('ftp://x', QUESTION, unending)).toEqual({ kind: 'refused' });
    await server.close();
    expect(await friend.open(server.url, QUESTION, unending)).toEqual({ kind: 'unreachable' });
  });

  test('knows the secret that the first mirror made, also when two made one at once', async () => {
    const records = new MemoryRecordStore();
    const clock = { ...systemClock, monotonicMs: () => Number.MAX_SAFE_INTEGER };
    const secrets = [1, 2].map(() => new StoredSecret(records, clock, unending));
    const [one, two] = await Promise.all(secrets.map((secret) => secret.current()));
    expect([one, two].map((secret) => secret?.length)).toEqual([64, 64]);
    expect(await new StoredSecret(records, clock, unending).current()).toBe(two);
    const other = await start(secrets[0]);
    try {
      const client = new FillClient(secrets[1]!, systemClock);
      expect(await client.open(other.url, QUESTION, unending)).toEqual({ kind: 'absent' });
    } finally {
      await other.close();
    }
  });
});
