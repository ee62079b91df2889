import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import path from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { freePort } from '../support/free-port.ts';
import { type RunningProcess, startProcess } from '../support/start-process.ts';
import { startMinio } from '../support/start-s3.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const services = path.resolve(import.meta.dirname, '../../services');

type Script = 'main.ts' | 'start.ts';
type Env = Readonly<Record<string, string>>;

describe('the program', () => {
  let folder: string;
  const running: RunningProcess[] = [];
  const servers: Server[] = [];

  beforeEach(() => {
    folder = makeTempFolder('start');
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((program) => program.stop()));
    await Promise.all(
      servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))),
    );
    await removeTempFolder(folder);
  });

  /** Starts a script with these variables alone; `readyPort` is asked for /readyz. */
  async function start(script: Script, env: Env, readyPort?: number): Promise<RunningProcess> {
    const program = await startProcess({
      name: `twinport ${script}`,
      command: process.execPath,
      args: [path.join(services, script)],
      env: { PATH: process.env['PATH'] ?? '', ...env },
      cwd: folder,
      ...(readyPort === undefined ? {} : { isReady: () => isReady(readyPort) }),
    });
    running.push(program);
    return program;
  }

  const isReady = async (port: number): Promise<boolean> =>
    (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;

  /** Free ports, those for metrics next to one another as the program wants them, and one more behind them. */
  async function ports() {
    const [push, mirror, metrics] = [await freePort(), await freePort(), await freePort(3)];
    const env = {
      PUSH_PORT: String(push),
      MIRROR_PORT: String(mirror),
      METRICS_PORT: String(metrics),
      UPSTREAM_URL: 'http://127.0.0.1:1',
    };
    return { push, mirror, metrics, mirrorMetrics: metrics + 1, env };
  }

  async function take(port: number): Promise<void> {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  }

  const readyz = async (port: number): Promise<unknown> =>
    await (await fetch(`http://127.0.0.1:${port}/readyz`)).json();
  const status = async (port: number, target = '/v2/'): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}${target}`)).status;

  test('runs both roles over ./data, says what to type, and ends with 0 on SIGTERM', async () => {
    const { push, mirror, metrics, mirrorMetrics, env } = await ports();
    const program = await start('start.ts', env, mirrorMetrics);
    expect(await status(push)).toBe(200);
    expect(await status(mirror)).toBe(200);
    const text = await waitFor(() => program.logs().includes('Ctrl-C') && program.logs(), {
      what: 'the banner',
    });
    expect(text).toContain(`docker push localhost:${push}/demo/hello:1`);
    expect(text).toContain(`docker pull localhost:${mirror}/demo/hello:1`);
    expect(text).toContain(`"registry-mirrors": ["http://localhost:${mirror}"]`);
    expect(text).toContain(`http://localhost:${metrics}`);
    for (const port of [metrics, mirrorMetrics]) {
      expect(await status(port, '/livez')).toBe(200);
      expect(await status(port, '/readyz')).toBe(200);
    }
    const counted = await fetch(`http://127.0.0.1:${mirrorMetrics}/metrics`);
    expect(await counted.text()).toMatch(
      /registry_http_requests_total\{role="mirror",operation="base",status_class="2xx"\} \d/,
    );
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.logs()).toContain('"message":"stopped"');
    expect(program.logs()).not.toContain('not closed in order');
  });

  test('runs both roles in each of several workers, and says once what to type', async () => {
    const { push, mirror, metrics, mirrorMetrics, env } = await ports();
    const program = await start('start.ts', { ...env, WORKERS: '2' }, mirrorMetrics);
    expect([await status(push), await status(mirror)]).toEqual([200, 200]);
    for (const port of [metrics, mirrorMetrics]) {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      expect(await answer.json()).toMatchObject({ workers: [{ worker: 1 }, { worker: 2 }] });
    }
    expect(program.logs().match(/Ctrl-C stops it/g)).toHaveLength(1);
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
  });

  test.each([
    ['true', 'mirror'],
    ['false', 'push'],
  ])('npm start with RUN_AS_MIRROR=%s is the %s alone', async (value, role) => {
    const [port, metrics] = [await freePort(), await freePort()];
    const env = {
      RUN_AS_MIRROR: value,
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metrics),
    };
    const program = await start('start.ts', env, metrics);
    const answer = await fetch(`http://127.0.0.1:${metrics}/readyz`);
    expect(await answer.json()).toMatchObject({ status: 'ready', role });
    const upload = await fetch(`http://127.0.0.1:${port}/v2/team/app/blobs/uploads/`, {
      method: 'POST',
    });
    expect(upload.status).toBe(role === 'mirror' ? 405 : 202);
    expect(program.logs()).not.toContain('registry-mirrors');
  });

  test("is not harmed by Kubernetes' service links", async () => {
    const { push, mirror, metrics } = await ports();
    const links = {
      PUSH_PORT: 'tcp://10.0.0.1:5000',
      PUSH_SERVICE_HOST: '10.0.0.1',
      MIRROR_PORT: 'tcp://10.0.0.2:5001',
      MIRROR_PORT_5001_TCP: 'tcp://10.0.0.2:5001',
      REDIS_PORT: 'tcp://10.0.0.3:6379',
      REDIS_SERVICE_PORT: '6379',
      REGISTRY_PORT: 'tcp://10.0.0.4:5000',
      REGISTRY_AUTH_SERVICE_HOST: '10.0.0.5',
    };
    for (const [value, port] of [
      ['false', push],
      ['true', mirror],
    ] as const) {
      const env = {
        ...links,
        RUN_AS_MIRROR: value,
        HTTP_HOST: '127.0.0.1',
        METRICS_PORT: String(metrics),
      };
      const program = await start('main.ts', { ...env, HTTP_PORT: String(port) }, metrics);
      expect(await status(port)).toBe(200);
      expect(program.logs()).not.toContain('is not a setting');
      await program.stop();
    }
  });

  test('tells every problem of its configuration at once and exits with 1', async () => {
    const program = await start('main.ts', {
      RUN_AS_MIRROR: 'yes',
      HTTP_PORT: 'http',
      S3_ENDPOINT: 'minio',
      REGISTRY_AUTH_HTPASSWD_PATH: '/auth/htpasswd',
      UPSTREAM_PASSWORD_FILE: '/nonexistent',
      S3_BUKET: 'b',
    });
    expect((await program.ended).code).toBe(1);
    const text = program.logs();
    for (const name of [
      'RUN_AS_MIRROR must be',
      'HTTP_PORT must be',
      'S3_ENDPOINT must be',
      'REGISTRY_AUTH_HTPASSWD_PATH names a file that cannot be read',
      'UPSTREAM_PASSWORD_FILE names a file',
      'S3_BUKET is not a setting and has no effect. Did you mean S3_BUCKET?',
    ]) {
      expect(text).toContain(name);
    }
  });

  test('names port and variable when a port is taken, and exits with 1', async () => {
    const { push, mirror, env } = await ports();
    await take(mirror);
    const program = await start('start.ts', env);
    expect((await program.ended).code).toBe(1);
    expect(program.logs()).toContain(
      `Twinport does not start: port ${mirror} on 127.0.0.1 is already taken by another program; set MIRROR_PORT to another port`,
    );
    await expect(status(push)).rejects.toThrow();
  });

  test('takes other ports for metrics when both roles run, and says so', async () => {
    const { metrics, env } = await ports();
    await take(metrics);
    const program = await start('start.ts', env, metrics + 1);
    expect(await status(metrics + 2, '/livez')).toBe(200);
    expect(program.logs()).toContain(
      `port ${metrics} for metrics is taken, so ${metrics + 2} is used`,
    );
    expect(program.logs()).toContain(`http://localhost:${metrics + 2}`);
  });

  test('does not serve without its metrics port when it runs one role', async () => {
    const { push, metrics } = await ports();
    await take(metrics);
    const program = await start('main.ts', {
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(push),
      METRICS_PORT: String(metrics),
    });
    expect((await program.ended).code).toBe(1);
    expect(program.logs()).toContain(`port ${metrics} on 127.0.0.1 is already taken`);
    expect(program.logs()).toContain('set METRICS_PORT to another port');
  });

  test.each(['true', 'false'])(
    "refuses registry:2's proxy cache and names the way out (RUN_AS_MIRROR=%s)",
    async (value) => {
      const [port, metrics] = [await freePort(), await freePort()];
      await mkdir(path.join(folder, 'data'));
      await writeFile(path.join(folder, 'data/scheduler-state.json'), '{}');
      const program = await start('main.ts', {
        RUN_AS_MIRROR: value,
        HTTP_HOST: '127.0.0.1',
        HTTP_PORT: String(port),
        METRICS_PORT: String(metrics),
      });
      expect((await program.ended).code).toBe(1);
      expect(program.logs()).toContain('twinport adopt-cache');
      expect(await readFile(path.join(folder, 'data/scheduler-state.json'), 'utf8')).toBe('{}');
    },
  );

  test('says which variables are wrong when the certificate is none', async () => {
    const [port, metrics] = [await freePort(), await freePort()];
    await writeFile(path.join(folder, 'tls.pem'), 'not a certificate');
    const program = await start('main.ts', {
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metrics),
      HTTP_TLS_CERTIFICATE: 'tls.pem',
      HTTP_TLS_KEY: 'tls.pem',
    });
    expect((await program.ended).code).toBe(1);
    expect(program.logs()).toContain('HTTP_TLS_CERTIFICATE and HTTP_TLS_KEY cannot be used');
  });

  test('is not ready once its data folder is gone', async () => {
    const [port, metrics] = [await freePort(), await freePort()];
    const data = path.join(folder, 'store');
    const env = {
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metrics),
      DATA_DIR: data,
    };
    const program = await start('main.ts', env, metrics);
    // Once nothing is tried there any more.
    await waitFor(async () => 'store' in ((await readyz(metrics)) as object), {
      what: 'what the store guarantees',
    });
    expect(await status(metrics, '/readyz')).toBe(200);
    await rm(data, { recursive: true, maxRetries: 10 });
    await waitFor(async () => (await status(metrics, '/readyz')) === 503, {
      what: 'readiness to end',
    });
    const answer = await fetch(`http://127.0.0.1:${metrics}/readyz`);
    expect(await answer.json()).toMatchObject({ status: 'store-unavailable' });
    expect(await status(metrics, '/livez')).toBe(200);
    expect(program.isRunning()).toBe(true);
  });

  test('lives and waits, not ready, while its bucket does not answer', async () => {
    const [port, metrics, nobody] = [await freePort(), await freePort(), await freePort()];
    const program = await start('main.ts', {
      HTTP_HOST: '127.0.0.1',
      HTTP_PORT: String(port),
      METRICS_PORT: String(metrics),
      S3_BUCKET: 'images',
      S3_ENDPOINT: `http://127.0.0.1:${nobody}`,
      S3_ACCESS_KEY_ID: 'key-of-the-bucket',
      S3_SECRET_ACCESS_KEY: 'secret-of-the-bucket',
    });
    await waitFor(() => program.logs().includes('the store does not answer'), {
      what: 'the warning about the store',
    });
    expect(await status(metrics, '/livez')).toBe(200);
    const answer = await fetch(`http://127.0.0.1:${metrics}/readyz`);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ status: 'starting' });
    expect(program.logs()).not.toContain('secret-of-the-bucket');
    program.signal('SIGTERM');
    expect((await program.ended).code).toBe(0);
  });

  describeWithTools(['minio'], 'over a bucket', () => {
    test('gets ready when the bucket answers, and is not ready while it does not', async () => {
      const s3 = await startMinio({ own: true });
      try {
        s3.pause();
        const [port, metrics] = [await freePort(), await freePort()];
        const program = await start('main.ts', {
          HTTP_HOST: '127.0.0.1',
          HTTP_PORT: String(port),
          METRICS_PORT: String(metrics),
          S3_ENDPOINT: s3.endpoint,
          S3_BUCKET: s3.bucket,
          S3_ACCESS_KEY_ID: s3.accessKeyId,
          S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
        });
        const waitUntil = (state: string) =>
          waitFor(async () => ((await readyz(metrics)) as { status: string }).status === state, {
            what: `the state ${state}`,
            timeoutMs: 60_000,
          });
        await waitUntil('starting');
        s3.resume();
        await waitUntil('ready');
        expect(await status(port)).toBe(200);
        s3.pause();
        await waitUntil('store-unavailable');
        expect(program.isRunning()).toBe(true);
        s3.resume();
        await waitUntil('ready');
        program.signal('SIGTERM');
        expect((await program.ended).code).toBe(0);
      } finally {
        s3.resume();
        await s3.stop();
      }
    });
  });

  describe('told to stop in the middle of an upload', () => {
    async function openUpload(env: Env = {}) {
      const [port, metrics] = [await freePort(), await freePort()];
      const program = await start(
        'main.ts',
        {
          HTTP_HOST: '127.0.0.1',
          HTTP_PORT: String(port),
          METRICS_PORT: String(metrics),
          SHUTDOWN_GRACE_SECONDS: '20',
          ...env,
        },
        metrics,
      );
      const begun = await fetch(`http://127.0.0.1:${port}/v2/team/app/blobs/uploads/`, {
        method: 'POST',
      });
      const location = begun.headers.get('location') ?? '';
      const session = new URL(location, `http://127.0.0.1:${port}`);
      const patch = request(session, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': 10 },
      });
      const answered = new Promise<number>((resolve, reject) => {
        patch.once('response', (response) => resolve(response.resume().statusCode ?? 0));
        patch.once('error', reject);
      });
      answered.catch(() => undefined);
      patch.write('12345');
      await waitFor(async () => (await fetch(session)).headers.get('range') === '0-4', {
        what: 'the first bytes to arrive',
      });
      return { program, port, metrics, patch, answered };
    }

    test('finishes it, takes nothing new, is not ready, and ends with 0', async () => {
      const { program, port, metrics, patch, answered } = await openUpload();
      program.signal('SIGTERM');
      await waitFor(async () => (await status(metrics, '/readyz')) === 503, {
        what: 'readiness to end',
      });
      await waitFor(
        () =>
          status(port).then(
            () => false,
            () => true,
          ),
        { what: 'the port to be closed' },
      );
      expect(program.isRunning()).toBe(true);
      patch.end('67890');
      expect(await answered).toBe(202);
      expect(await program.ended).toEqual({ code: 0, signal: null });
    });

    test('cuts it off when its grace is over, and still ends with 0', async () => {
      const { program, answered } = await openUpload({ SHUTDOWN_GRACE_SECONDS: '0' });
      program.signal('SIGTERM');
      await expect(answered).rejects.toThrow();
      expect(await program.ended).toEqual({ code: 0, signal: null });
    });

    test('ends at once on a second signal', async () => {
      const { program, metrics } = await openUpload();
      program.signal('SIGTERM');
      await waitFor(async () => (await status(metrics, '/readyz')) === 503, {
        what: 'readiness to end',
      });
      // The first half second counts as one wish, so the signal is repeated until it is heard.
      await waitFor(
        () => {
          program.signal('SIGTERM');
          return !program.isRunning();
        },
        { what: 'the program to end', everyMs: 100 },
      );
      expect((await program.ended).code).toBe(1);
    });
  });
});
