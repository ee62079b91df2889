import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { type ReverseProxy, startProxy } from '../support/start-proxy.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { AMBIGUOUS_REQUESTS } from './ambiguous-requests.ts';
import { call } from './call-table.ts';
import { rawExchange } from './raw-exchange.ts';

const servers = new OwnedServers();
let folder: string;
let push: TwinportProcess;

beforeAll(async () => {
  folder = makeTempFolder('ambiguous');
  push = await servers.own(startTwinport({ role: 'push', storage: { dataDir: folder } }));
});
afterAll(async () => {
  await servers.stopAll();
  await removeTempFolder(folder);
});

const tagList = (name: string, headers = ''): string =>
  `GET /v2/${name}/tags/list HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const smuggled = (name: string): string => tagList(name, 'Connection: close\r\n');
const countOf = (text: string, part: string): number => text.split(part).length - 1;

describe('a registry that is asked directly', () => {
  test.each(AMBIGUOUS_REQUESTS)('answers $name with $status, once, and closes', async (request) => {
    const answer = await rawExchange(push.url, request.bytes(smuggled('smuggled/direct')));
    expect({ statuses: answer.statuses, isClosed: answer.isClosed }).toEqual({
      statuses: [request.status],
      isClosed: true,
    });
    expect(answer.text).not.toContain('smuggled');
  });

  test.each<[string, string, number[]]>([
    ['requests sent at once', tagList('one').repeat(3), [404, 404, 404, 404]],
    ['empty lines before a request', '\r\n\r\n', [404]],
    ['HTTP/1.0 that stays', 'GET /v2/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', [200, 404]],
    ['HTTP/1.0', 'GET /v2/ HTTP/1.0\r\n\r\n', [200]],
    ['a method that no path has', 'TRACE /v2/ HTTP/1.1\r\nHost: a\r\n\r\n', [405, 404]],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', [400, 404]],
    ['an absolute target', 'GET http://b/v2/ HTTP/1.1\r\nHost: b\r\n\r\n', [400, 404]],
    [
      'a header named like a property of every object',
      'GET /v2/ HTTP/1.1\r\nHost: a\r\n__proto__: x\r\nconstructor: y\r\n\r\n',
      [200, 404],
    ],
    [
      'a request to speak another protocol, which ends the connection',
      'GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      [200],
    ],
    [
      'a body that nobody asked for, which ends the connection',
      `GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /`,
      [200],
    ],
    [
      'an expectation that nobody has',
      'GET /v2/ HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n',
      [417, 404],
    ],
    [
      'a chunk with an extension and a trailer that repeats headers',
      'PUT /v2/team/app/manifests/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '3;a=b\r\nabc\r\n0\r\nContent-Type: a/b\r\n\r\n',
      [400, 404],
    ],
  ])('understands %s', async (_, bytes, statuses) => {
    const answer = await rawExchange(push.url, bytes + smuggled('last'));
    expect(answer.statuses).toEqual(statuses);
    expect(answer.isClosed).toBe(true);
  });
});

for (const kind of ['haproxy', 'nginx'] as const) {
  describeWithTools([kind], `a registry behind ${kind}`, () => {
    let proxy: ReverseProxy;

    beforeAll(async () => {
      proxy = await servers.own(startProxy(kind, push.port));
    });

    test('answers every request once, to whom it came from', async () => {
      const wrong: object[] = [];
      const askHonestly = async (name: string): Promise<void> => {
        const honest = await call(proxy.url, { method: 'GET', path: `/v2/${name}/tags/list` });
        const text = honest.body.toString();
        if (honest.status !== 404 || countOf(text, name) !== 1) wrong.push({ name, text });
      };
      await askHonestly('honest/first');
      // All at once: their connections to the registry are shared by the proxy.
      const answers = await Promise.all(
        AMBIGUOUS_REQUESTS.map(async (request, at) => {
          const name = `smuggled/${kind}/n${at}e`;
          const { text } = await rawExchange(proxy.url, request.bytes(smuggled(name)));
          for (let probe = 0; probe < 3; probe += 1) await askHonestly(`honest/n${at}e/p${probe}e`);
          return { request: request.name, name, text };
        }),
      );
      const logged = (name: string): number => countOf(push.logs(), `"repository":"${name}"`);
      await askHonestly(`honest/${kind}/last`);
      expect(wrong).toEqual([]);
      await waitFor(() => logged(`honest/${kind}/last`) === 1, { what: 'the last request' });
      const mistaken = (): object[] =>
        answers.flatMap(({ request, name, text }) => {
          const answered = countOf(text, name);
          const others = countOf(text, 'smuggled/') - answered + countOf(text, 'honest/');
          const isRight = logged(name) === answered && others === 0;
          return isRight ? [] : [{ request, logged: logged(name), text }];
        });
      // A request is logged when its connection is done with it, which may be after its client has the answer.
      await waitFor(() => mistaken().length === 0, { what: 'the log', timeoutMs: 10_000 }).catch(
        () => undefined,
      );
      expect(mistaken()).toEqual([]);
    });
  });
}
