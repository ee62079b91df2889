import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { RecordedEdge } from '../http/testing/recorded-edge.ts';
import { serverThatAnswers } from '../http/testing/server-that-answers.ts';
import { systemClock } from '../lifecycle/clock.ts';
import { Health } from './health.ts';
import { Metrics } from './metrics.ts';
import { type OpsServer, startOpsServer } from './ops-server.ts';

describe('the server of health and metrics', () => {
  let health: Health;
  let server: OpsServer;
  let isStoreWell = true;
  let edge: RecordedEdge;

  beforeEach(async () => {
    isStoreWell = true;
    edge = new RecordedEdge();
    health = new Health({
      clock: systemClock,
      probeStore: () => (isStoreWell ? Promise.resolve() : Promise.reject(new Error('down'))),
      degraded: () => Promise.resolve(['redis']),
    });
    const metrics = new Metrics({ version: '1' });
    metrics.observer('push');
    server = await startOpsServer(
      {
        role: 'push',
        readiness: () => health.readiness(),
        renderMetrics: () => metrics.render('push'),
        log: edge.log,
      },
      '127.0.0.1',
      0,
    );
  });
  afterEach(async () => {
    await server.close();
  });

  const ask = (path: string, method = 'GET'): Promise<Response> =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { method });

  test('says that it lives, whatever else is the matter', async () => {
    isStoreWell = false;
    const answer = await ask('/livez');
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ status: 'alive', role: 'push' });
  });

  test('outlives connections that cannot be accepted', async () => {
    const serving = await serverThatAnswers(() => ask('/livez'));
    for (const code of ['EMFILE', 'ENFILE']) {
      serving.emit('error', Object.assign(new Error('accept'), { code }));
    }
    expect((await ask('/livez')).status).toBe(200);
    expect(edge.lines.map(({ message }) => message)).toEqual(
      Array(2).fill('a connection could not be accepted'),
    );
  });

  test('answers readiness with 503 and the reason until it is ready', async () => {
    const before = await ask('/readyz');
    expect(before.status).toBe(503);
    expect(await before.json()).toEqual({ status: 'starting', role: 'push', degraded: [] });
    health.started();
    const after = await ask('/readyz');
    expect(after.status).toBe(200);
    expect(await after.json()).toEqual({ status: 'ready', role: 'push', degraded: ['redis'] });
  });

  test('answers readiness with 503 while the store fails', async () => {
    isStoreWell = false;
    health.started();
    const answer = await ask('/readyz?verbose');
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ status: 'store-unavailable' });
  });

  test('gives metrics in the format of Prometheus', async () => {
    const answer = await ask('/metrics');
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toContain('registry_build_info{version="1"} 1');
  });

  test('knows nothing else', async () => {
    expect((await ask('/v2/')).status).toBe(404);
    const post = await ask('/livez', 'POST');
    expect(post.status).toBe(405);
    expect(post.headers.get('allow')).toBe('GET, HEAD');
    const head = await ask('/livez', 'HEAD');
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
  });

  test('rejects when its port is taken', async () => {
    const options = {
      role: 'mirror' as const,
      readiness: () => health.readiness(),
      renderMetrics: () => Promise.resolve({ contentType: '', body: '' }),
      log: edge.log,
    };
    await expect(startOpsServer(options, '127.0.0.1', server.port)).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
