import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { send, type TestAnswer, type TestRequest } from '../../shared/http/testing/http-client.ts';
import { childProcesses } from '../support/child-processes.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { digestOf, type FixtureManifest, makeImage } from '../support/oci-fixtures.ts';
import { pushImage } from '../support/registry-client.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { startMinio } from '../support/start-s3.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';
import { auditTestStore, type TestStorage } from './audit-test-store.ts';

interface ReadyAnswer {
  readonly status: string;
  readonly degraded: readonly string[];
  readonly workers: readonly { readonly worker: number; readonly state: string }[];
}

const readiness = async ({ metricsUrl }: TwinportProcess): Promise<ReadyAnswer> =>
  (await (await fetch(`${metricsUrl}/readyz`)).json()) as ReadyAnswer;

/** The value of a series, the sum of all that begin so. */
async function counted({ metricsUrl }: TwinportProcess, series: string): Promise<number> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(series))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** Which workers have answered a request so far, by their own log. */
const workersThatServed = (program: TwinportProcess): Set<string> =>
  new Set(
    [...program.logs().matchAll(/"worker":(\d+),.*"message":"request"/g)].map(
      ([, number = '']) => number,
    ),
  );

/** Every request has a connection of its own, so that any worker may get it. */
const ask = async (
  program: TwinportProcess,
  path: string,
  status: number,
  options: TestRequest = {},
): Promise<TestAnswer> => {
  const answer = await send(program.port, path, options);
  expect({
    path,
    status: answer.status,
    body: answer.status === status || answer.body.toString(),
  }).toEqual({ path, status, body: true });
  return answer;
};

async function openUpload(program: TwinportProcess, repository: string): Promise<string> {
  const opened = await ask(program, `/v2/${repository}/blobs/uploads/`, 202, { method: 'POST' });
  return String(opened.headers.location);
}

const putManifest = (
  program: TwinportProcess,
  path: string,
  { mediaType, bytes }: FixtureManifest,
): Promise<TestAnswer> =>
  ask(program, path, 201, {
    method: 'PUT',
    headers: { 'Content-Type': mediaType },
    body: bytes,
  });

const openFolder = (): Promise<TestStorage> => {
  const dataDir = makeTempFolder('workers');
  return Promise.resolve({ storage: { dataDir }, close: () => removeTempFolder(dataDir) });
};

const openBucket = async (): Promise<TestStorage> => {
  const server = await startMinio();
  return { storage: server, close: () => server.stop() };
};

function describeWorkers(name: string, open: () => Promise<TestStorage>): void {
  describe(`three workers on ${name}, without Redis`, () => {
    let store: TestStorage;
    let program: TwinportProcess;

    beforeAll(async () => {
      store = await open();
      program = await startTwinport({
        role: 'push',
        storage: store.storage,
        env: { WORKERS: '3' },
      });
    });
    afterAll(async () => {
      expect(await program.stop()).toEqual({ code: 0, signal: null });
      expect(await auditTestStore(store.storage)).toEqual([]);
      await store.close();
    });

    test('are all ready', async () => {
      expect(await readiness(program)).toMatchObject({
        status: 'ready',
        degraded: [],
        workers: [1, 2, 3].map((worker) => ({ worker, state: 'ready' })),
      });
      expect(childProcesses(program.pid)).toHaveLength(3);
    });

    test('take the chunks of an upload as they come, and count them all', async () => {
      const chunks = Array.from({ length: 8 }, () => randomBytes(10_000));
      const blob = Buffer.concat(chunks);
      const digest = digestOf(blob);
      await Promise.all(
        Array.from({ length: 4 }, async (_, number) => {
          const repository = `spread/upload-${number}`;
          let location = await openUpload(program, repository);
          let offset = 0;
          for (const body of chunks) {
            const range = `${offset}-${offset + body.length - 1}`;
            const headers = { 'Content-Range': range, 'Content-Length': String(body.length) };
            const patched = await ask(program, location, 202, { method: 'PATCH', headers, body });
            location = String(patched.headers.location);
            offset += body.length;
          }
          const joint = location.includes('?') ? '&' : '?';
          await ask(program, `${location}${joint}digest=${digest}`, 201, { method: 'PUT' });
          const read = await ask(program, `/v2/${repository}/blobs/${digest}`, 200);
          expect(read.body.equals(blob)).toBe(true);
        }),
      );
      expect(workersThatServed(program).size).toBe(3);
      const series = (operation: string): string =>
        `registry_http_requests_total{role="push",operation="${operation}",status_class="2xx"}`;
      const observed =
        'registry_http_request_duration_seconds_count{role="push",operation="blobGet"}';
      // A request is counted when its connection is done with it, which may be after its client has the answer.
      await waitFor(async () => (await counted(program, observed)) >= 4, {
        what: 'the last request to be counted',
      });
      expect(await counted(program, series('uploadStart'))).toBe(4);
      expect(await counted(program, series('uploadAppend'))).toBe(4 * chunks.length);
      expect(await counted(program, series('uploadCommit'))).toBe(4);
      expect(await counted(program, series('blobGet'))).toBe(4);
      const received = 'registry_http_received_bytes_total{role="push",operation="uploadAppend"}';
      expect(await counted(program, received)).toBe(4 * blob.length);
      expect(await counted(program, observed)).toBe(4);
      expect(await counted(program, 'registry_build_info')).toBe(1);
    });

    test('count a pull as answered whose client leaves with the last byte', async () => {
      const blob = randomBytes(80_000);
      const digest = digestOf(blob);
      const target = `/v2/leaving/app/blobs/uploads/?digest=${digest}`;
      await ask(program, target, 201, { method: 'POST', body: blob });
      const pulls = 'registry_http_requests_total{role="push",operation="blobGet"';
      const before = await counted(program, pulls);
      for (let round = 0; round < 40; round += 1) {
        await Promise.all(
          [1, 2, 3].map(() => ask(program, `/v2/leaving/app/blobs/${digest}`, 200)),
        );
      }
      await waitFor(async () => (await counted(program, pulls)) === before + 120, {
        what: 'the pulls to be counted',
      });
      expect(await counted(program, `${pulls},status_class="2xx"}`)).toBe(before + 120);
    });

    test('serve chunks of one upload one after the other, and refuse those out of order', async () => {
      const location = await openUpload(program, 'order/app');
      const body = randomBytes(5_000);
      const headers = { 'Content-Range': '0-4999', 'Content-Length': '5000' };
      const answers = await Promise.all(
        Array.from({ length: 6 }, () =>
          send(program.port, location, { method: 'PATCH', headers, body }),
        ),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([202, 416, 416, 416, 416, 416]);
      const state = await ask(program, location, 204);
      expect(state.headers.range).toBe('0-4999');
    });

    test('never let a delete by digest take a tag that a push has just moved elsewhere', async () => {
      const [first, second] = [makeImage(), makeImage()];
      const repositories = Array.from({ length: 4 }, (_, number) => `storm/app-${number}`);
      await Promise.all(
        repositories.map(async (repository) => {
          const path = `/v2/${repository}/manifests`;
          await pushImage(program.url, repository, second.manifest.digest, second);
          await pushImage(program.url, repository, 'moving', first);
          for (let round = 0; round < 8; round += 1) {
            await putManifest(program, `${path}/moving`, first.manifest);
            await Promise.all([
              putManifest(program, `${path}/moving`, second.manifest),
              ask(program, `${path}/${first.manifest.digest}`, 202, { method: 'DELETE' }),
            ]);
            const tagged = await ask(program, `${path}/moving`, 200);
            expect(tagged.headers['docker-content-digest']).toBe(second.manifest.digest);
          }
        }),
      );
    });
  });
}

describeWorkers('files', openFolder);
describeWithTools(['minio'], 'with MinIO', () => {
  describeWorkers('S3', openBucket);
});

describe('workers of one program', () => {
  let dataDir: string;
  const running: TwinportProcess[] = [];
  beforeAll(() => {
    dataDir = makeTempFolder('workers');
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((program) => program.stop()));
  });
  afterAll(async () => {
    await removeTempFolder(dataDir);
  });

  async function start(env: Record<string, string> = {}): Promise<TwinportProcess> {
    const program = await startTwinport({
      role: 'push',
      storage: { dataDir },
      env: { WORKERS: '2', ...env },
    });
    running.push(program);
    return program;
  }

  /** The first half of an upload on a connection of its own, which stays open. */
  async function halfAnUpload(program: TwinportProcess, repository: string) {
    const location = await openUpload(program, repository);
    const patch = request(new URL(location, program.url), {
      method: 'PATCH',
      agent: false,
      headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': 10 },
    });
    const answered = new Promise<number>((resolve, reject) => {
      patch.once('response', (response) => resolve(response.resume().statusCode ?? 0));
      patch.once('error', reject);
    });
    answered.catch(() => undefined);
    patch.write('12345');
    await waitFor(async () => (await ask(program, location, 204)).headers.range === '0-4', {
      what: 'the first bytes to arrive',
    });
    return { location, patch, answered };
  }

  test('a killed worker costs its own requests alone, is replaced, and takes no count with it', async () => {
    const program = await start();
    const uploads = await Promise.all(
      Array.from({ length: 12 }, (_, number) => halfAnUpload(program, `killed/app-${number}`)),
    );
    const before = await counted(program, 'registry_http_requests_total');
    const [victim = 0] = childProcesses(program.pid);
    process.kill(victim, 'SIGKILL');
    const broken = await Promise.all(
      uploads.map(async ({ patch, answered }) => {
        patch.end('67890');
        return await answered.then(
          (status) => status !== 202,
          () => true,
        );
      }),
    );
    expect(new Set(broken).size).toBe(2);
    // Whoever was cut off asks where it stands, and goes on with another worker.
    await Promise.all(
      uploads.map(async ({ location }, number) => {
        const end = Number((await ask(program, location, 204)).headers.range?.split('-')[1]);
        const rest = '1234567890'.slice(end + 1);
        expect(rest === '').toBe(!broken[number]);
        const digest = digestOf(Buffer.from('1234567890'));
        const joint = location.includes('?') ? '&' : '?';
        const headers = { 'Content-Length': String(rest.length) };
        const target = `${location}${joint}digest=${digest}`;
        await ask(program, target, 201, { method: 'PUT', body: rest, headers });
      }),
    );
    await waitFor(
      async () => (await readiness(program)).workers.every(({ state }) => state === 'ready'),
      { what: 'another worker in its place', timeoutMs: 60_000 },
    );
    expect(childProcesses(program.pid)).toHaveLength(2);
    expect(childProcesses(program.pid)).not.toContain(victim);
    expect(await counted(program, 'registry_workers')).toBe(2);
    expect(await counted(program, 'registry_worker_restarts_total')).toBe(1);
    expect(await counted(program, 'registry_http_requests_total')).toBeGreaterThan(before);
    expect(program.logs()).toMatch(/"worker":\d,.*"signal":"SIGKILL","message":"a worker died"/);
    expect(await auditTestStore({ dataDir })).toEqual([]);
  });

  test('finish what they do on SIGTERM, in whichever of them it runs, and the program ends with 0', async () => {
    const program = await start({ SHUTDOWN_GRACE_SECONDS: '20' });
    const uploads = await Promise.all(
      Array.from({ length: 8 }, (_, number) => halfAnUpload(program, `drained/app-${number}`)),
    );
    program.kill('SIGTERM');
    await waitFor(async () => (await readiness(program)).status === 'stopping', {
      what: 'readiness to end',
    });
    await waitFor(
      () =>
        send(program.port, '/v2/').then(
          () => false,
          () => true,
        ),
      { what: 'the port to be closed' },
    );
    for (const { patch } of uploads) patch.end('67890');
    const answers = await Promise.all(uploads.map(({ answered }) => answered));
    expect(answers).toEqual(uploads.map(() => 202));
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.logs()).not.toContain('not closed in order');
  });

  test('end at once with the program on a second signal', async () => {
    const program = await start({ SHUTDOWN_GRACE_SECONDS: '60' });
    const workers = childProcesses(program.pid);
    await halfAnUpload(program, 'cut/app');
    // The first half second counts as one wish, so the signal is repeated until it is heard.
    const signals = setInterval(() => program.kill('SIGINT'), 100);
    expect((await program.ended).code).toBe(1);
    clearInterval(signals);
    await waitFor(() => workers.every((pid) => !isAlive(pid)), { what: 'the workers to end' });
  });

  test('end with the program when that is killed', async () => {
    const program = await start();
    const workers = childProcesses(program.pid);
    program.kill('SIGKILL');
    await program.ended;
    await waitFor(() => workers.every((pid) => !isAlive(pid)), { what: 'the workers to end' });
    await start();
  });

  test('that die as fast as they are started end the program with 1', async () => {
    const program = await start({ TWINPORT_CRASH_POINT: 'upload.created' });
    const ended = new AbortController();
    void program.ended.then(() => ended.abort());
    while (!ended.signal.aborted) {
      // Without a pause while nobody listens this would take the processor from those that are started.
      await send(program.port, '/v2/crash/app/blobs/uploads/', { method: 'POST' }).catch(() =>
        delay(20),
      );
    }
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.logs()).toMatch(/worker \d died 5 times in a row/);
  });

  test('are not started on a port that another program has, be it one with workers too', async () => {
    const program = await start();
    const failure: string = await startTwinport({
      role: 'push',
      storage: { dataDir },
      port: program.port,
      env: { WORKERS: '2' },
    }).then(
      () => 'it started',
      (error: unknown) => String(error),
    );
    expect(failure).toContain(`port ${program.port} on 127.0.0.1 is already taken`);
    expect(failure.match(/does not start:/g)).toHaveLength(1);
    expect(failure).not.toContain('"worker"');
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
