import { createServer, request as ask, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { pipeline } from 'node:stream/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { testUpstream } from '../../shared/config/testing/test-upstream.ts';
import { createTempStore, type TempStore } from '../../shared/content/testing/temp-store.ts';
import { publishUpstream } from '../../shared/content/upstream-table.ts';
import { RecordedEdge } from '../../shared/http/testing/recorded-edge.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { upstreamKey } from '../../shared/storage/object-keys.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { type FakeUpstream, startFakeUpstream } from '../../test/support/fake-upstream.ts';
import { type FixtureImage, makeImage } from '../../test/support/oci-fixtures.ts';
import { LiveUpstreams } from './live-upstreams.ts';
import { startTestMirror } from './testing/start-test-mirror.ts';

let store: TempStore;
beforeEach(async () => {
  store = await createTempStore();
});
afterEach(() => store.remove());

/** As `twinport project create <name> --upstream <url>` makes it. */
async function makeProject(name: string, url: string, passThrough?: true): Promise<void> {
  const upstream = { url, hosts: [new URL(url).host], ...(passThrough && { passThrough }) };
  await publishUpstream(store.records, { project: name, ...upstream }, unending);
  await store.index.projects.put(
    { schemaVersion: 1, name, createdAt: '2026-01-01T00:00:00.000Z', upstream },
    unending,
  );
}

describe('the table of upstreams', () => {
  const quay = testUpstream({ project: 'quay.io', url: 'https://quay.io', hosts: ['quay.io'] });
  const firm = testUpstream({
    project: 'firm',
    url: 'https://registry.firm.example',
    hosts: ['registry.firm.example'],
    credentials: [{ kind: 'password', username: 'firm', password: 's3cret' }],
    caFile: '/certs/firm.pem',
    deny: ['secret/*'],
    trusted: true,
  });
  const newTable = (isByProjects = true): LiveUpstreams =>
    new LiveUpstreams({
      records: store.records,
      projects: store.index.projects,
      configured: [testUpstream(), quay, firm],
      projectRights: isByProjects ? {} : undefined,
      clock: systemClock,
      log: new RecordedEdge().log,
    });
  const projects = ({ all }: LiveUpstreams): string[] => all.map(({ project }) => project);

  test('has the projects that cache an upstream as they come and go, untrusted and guarded', async () => {
    const table = newTable();
    const { all } = table;
    await makeProject('partner', 'https://registry.partner.example');
    await table.look(unending);
    expect(projects(table)).toEqual(['mirror', 'quay.io', 'firm', 'partner']);
    expect(all[3]).toMatchObject({
      url: 'https://registry.partner.example',
      hosts: ['registry.partner.example'],
      trusted: false,
      isGuarded: true,
      credentials: [],
    });
    const [, , , before] = all;
    await table.look(unending);
    expect(all[3]).toBe(before);
    await store.records.delete(upstreamKey('partner'), unending);
    await table.look(unending);
    expect(projects(table)).toEqual(['mirror', 'quay.io', 'firm']);
  });

  test('is what is configured where both say something', async () => {
    const table = newTable();
    await makeProject('quay.io', 'https://elsewhere.example');
    await makeProject('second', 'https://quay.io');
    await makeProject('third', 'https://third.example');
    await makeProject('fourth', 'https://third.example');
    await table.look(unending);
    expect(table.all[1]).toBe(quay);
    const hosts = table.all.slice(3).map((entry) => [entry.project, ...entry.hosts]);
    expect(hosts).toEqual([['fourth', 'third.example'], ['second'], ['third']]);
  });

  test('gives the account of an address to a project that passes on what is private there, for as long as it does', async () => {
    const table = newTable();
    const { all } = table;
    await makeProject('lab', `${firm.url}/`, true);
    await makeProject('other', 'https://registry.firm.example:8443', true);
    await table.look(unending);
    const [, , , lab, other] = all;
    const { credentials, caFile, deny } = firm;
    const names = { project: 'lab', url: `${firm.url}/`, hosts: [] };
    expect(lab).toMatchObject({ ...names, credentials, caFile, deny, private: 'pass-through' });
    expect(lab).not.toHaveProperty('isGuarded');
    const nobodys = { credentials: [], private: 'refuse', isGuarded: true, trusted: false };
    expect(other).toMatchObject({ project: 'other', ...nobodys });
    await table.look(unending);
    expect(all[3]).toBe(lab);
    await makeProject('lab', firm.url);
    await table.look(unending);
    expect(all[3]).toMatchObject({ project: 'lab', ...nobodys });
  });

  test('gives no project an account where no project says who may pull', async () => {
    const table = newTable(false);
    await makeProject('lab', firm.url, true);
    await table.look(unending);
    expect(table.all[3]).toMatchObject({ project: 'lab', credentials: [], private: 'refuse' });
  });

  test('has nothing of what other mirrors have published, or of projects that host images', async () => {
    const table = newTable();
    const other = { project: 'old', url: 'https://old.example', hosts: [] };
    await publishUpstream(store.records, other, unending);
    await publishUpstream(store.records, { ...other, project: 'team' }, unending);
    const team = { schemaVersion: 1, name: 'team', createdAt: '2026-01-01T00:00:00.000Z' } as const;
    await store.index.projects.put(team, unending);
    await table.look(unending);
    expect(projects(table)).toEqual(['mirror', 'quay.io', 'firm']);
  });
});

describe('a project that caches an upstream', () => {
  let upstream: FakeUpstream;
  let proxy: Server;
  let image: FixtureImage;
  beforeAll(async () => {
    upstream = await startFakeUpstream();
    image = makeImage();
    upstream.addImage('team/app', '1', image);
    proxy = await startForwardProxy(upstream.url);
  });
  afterAll(async () => {
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
    await upstream.stop();
  });

  test('is pulled through under its name, and kept there', async () => {
    await makeProject('partner', 'http://registry.partner.example');
    const { port } = proxy.address() as AddressInfo;
    const mirror = await startTestMirror('http://127.0.0.1:1', {
      store,
      proxies: { http: `http://127.0.0.1:${port}`, https: undefined, exceptions: undefined },
    });
    try {
      const path = '/v2/partner/team/app/manifests/1';
      for (const asked of [path, `${path}?ns=registry.partner.example`]) {
        const { status, headers } = await mirror.send(asked);
        expect([status, headers['docker-content-digest']]).toEqual([200, image.manifest.digest]);
      }
      for (const { digest } of image.blobs) {
        expect((await mirror.send(`/v2/partner/team/app/blobs/${digest}`)).status).toBe(200);
      }
      const kept = await mirror.files();
      expect(kept.some((file) => file.includes('repositories/partner/team/app/_twinport'))).toBe(
        true,
      );
    } finally {
      await mirror.stop();
    }
  });

  test('does not reach into the network of the mirror', async () => {
    await makeProject('inside', upstream.url);
    await makeProject('named', upstream.url.replace('127.0.0.1', 'localhost'));
    upstream.forget();
    const mirror = await startTestMirror('http://127.0.0.1:1', { store });
    try {
      for (const project of ['inside', 'named']) {
        const { status } = await mirror.send(`/v2/${project}/team/app/manifests/1`);
        expect([project, status >= 400]).toEqual([project, true]);
      }
      expect(upstream.seen).toEqual([]);
    } finally {
      await mirror.stop();
    }
  });
});

/** Leads every host to the target, by tunnels and by plain requests. */
async function startForwardProxy(target: string): Promise<Server> {
  const { hostname, port } = new URL(target);
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', target);
    const { method = 'GET', headers } = request;
    const options = { hostname, port, path: `${pathname}${search}`, method, headers };
    const outgoing = ask(options, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      pipeline(answer, response).catch(() => undefined);
    });
    pipeline(request, outgoing).catch(() => response.destroy());
  });
  server.on('connect', (_request, socket) => {
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      pipeline(socket, onward, socket).catch(() => undefined);
    });
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
