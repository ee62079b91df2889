import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { VERSION } from '../../services/version.ts';
import { MEDIA_TYPES } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { installPackage, packPackage } from '../support/packed-package.ts';
import {
  startTwinport,
  storageEnvironment,
  type TwinportProcess,
} from '../support/registry-process.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const INDEX = { schemaVersion: 2, mediaType: MEDIA_TYPES.oci.index, manifests: [] };
/** Of the archive; the entry points have to be there, whatever else is compiled. */
const EXPECTED =
  /^package\/(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/(?:services|shared)\/.+\.js)$/;
const ENTRY_POINTS = ['main', 'start', 'twinport', 'worker'];

describe('the packed package, installed elsewhere', () => {
  const servers = new OwnedServers();
  const storage = { dataDir: makeTempFolder('data') };
  let archive: string;
  let folder: string;
  let push: TwinportProcess;
  let mirror: TwinportProcess;

  beforeAll(async () => {
    archive = await packPackage();
    folder = await installPackage(archive);
    const env = { AUTH_MODE: 'token' };
    [push, mirror] = await Promise.all([
      servers.own(
        startTwinport({
          ...{ storage, role: 'push', entryPoint: entryPoint('main') },
          env: { ...env, WORKERS: '2' },
        }),
      ),
      servers.own(startTwinport({ storage, role: 'mirror', entryPoint: entryPoint('start'), env })),
    ]);
  });
  afterAll(() => servers.stopAll());

  const entryPoint = (name: string): string =>
    path.join(folder, 'node_modules', 'twinport', 'dist', 'services', `${name}.js`);

  /** As somebody types it in the folder. */
  function twinport(words: string): Promise<string> {
    const commands = path.join(folder, 'node_modules', '.bin');
    const places = [commands, path.dirname(process.execPath), process.env['PATH'] ?? ''];
    return runSuccessfully(path.join(commands, 'twinport'), words.split(' '), {
      cwd: folder,
      env: { PATH: places.join(path.delimiter), ...storageEnvironment(storage) },
    });
  }

  test('holds the compiled program and its licence, and neither sources nor tests', async () => {
    const names = (await runSuccessfully('tar', ['-tzf', archive])).trim().split('\n');
    expect(names.filter((name) => !EXPECTED.test(name))).toEqual([]);
    expect(names.filter((name) => /\.test\.|\/testing\//.test(name))).toEqual([]);
    for (const name of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md']) {
      expect(names).toContain(`package/${name}`);
    }
    for (const name of ENTRY_POINTS) expect(names).toContain(`package/dist/services/${name}.js`);
  });

  test('has a command that makes users and projects, which its services know', async () => {
    const [version, help] = await Promise.all([twinport('--version'), twinport('--help')]);
    expect(version).toBe(`twinport ${VERSION}\n`);
    expect(help).toContain('Usage: twinport <command>');
    const added = await twinport('user add alice');
    const password = /^Password: (\S+)$/m.exec(added)?.[1] ?? '';
    await twinport('project create team --owner alice');

    const authorization = `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`;
    const project = `${push.url}/api/v1/projects/team`;
    expect((await fetch(project)).status).toBe(401);
    expect((await fetch(project, { headers: { authorization } })).status).toBe(200);
    expect((await fetch(`${mirror.url}/v2/`)).status).toBe(401);

    const put = await fetch(`${push.url}/v2/team/app/manifests/1`, {
      method: 'PUT',
      headers: { authorization, 'content-type': INDEX.mediaType },
      body: JSON.stringify(INDEX),
    });
    expect(put.status).toBe(201);
    // To rotate keys takes half a minute; that the command is there is enough here.
    const [robot, rotating, rebuilt] = await Promise.all([
      twinport('robot add team ci --rights pull,push'),
      twinport('help token rotate-key'),
      twinport('index rebuild'),
    ]);
    expect(robot).toMatch(/^User name: robot\$team\+ci$/m);
    expect(rotating).toContain('twinport token rotate-key');
    expect(rebuilt).toMatch(/^ {2}manifests {5}1, 0 of them/m);
  });

  test('ends in order, from several processes and from one', async () => {
    expect((await push.stop()).code).toBe(0);
    expect((await mirror.stop()).code).toBe(0);
  });
});
