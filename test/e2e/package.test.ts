import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { VERSION } from '../../services/version.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { installPackage, packPackage } from '../support/packed-package.ts';
import { startTwinport, storageEnvironment } from '../support/registry-process.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

/** Of the archive; the entry points have to be there, whatever else is compiled. */
const EXPECTED = /^package\/(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/(?:services|shared)\/.+\.js)$/;
const ENTRY_POINTS = ['main', 'start', 'twinport', 'worker'];

describe('the packed package, installed elsewhere', () => {
  const servers = new OwnedServers();
  const storage = { dataDir: makeTempFolder('data') };
  let archive: string;
  let folder: string;
  let password: string;

  beforeAll(async () => {
    archive = await packPackage();
    folder = await installPackage(archive);
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

  test('has a command that makes users and projects', async () => {
    expect(await twinport('--version')).toBe(`twinport ${VERSION}\n`);
    expect(await twinport('--help')).toContain('Usage: twinport <command>');
    const added = await twinport('user add alice');
    password = /^Password: (\S+)$/m.exec(added)?.[1] ?? '';
    expect(password).not.toBe('');
    await twinport('project create team --owner alice');
    expect(await twinport('project list')).toContain('team');
  });

  test('serves them from several processes, and as a mirror', async () => {
    const common = { storage, env: { AUTH_MODE: 'token', WORKERS: '2' } };
    const [push, mirror] = await Promise.all([
      servers.own(startTwinport({ ...common, role: 'push', entryPoint: entryPoint('main') })),
      servers.own(startTwinport({ ...common, role: 'mirror', entryPoint: entryPoint('start') })),
    ]);
    const authorization = `Basic ${Buffer.from(`alice:${password}`).toString('base64')}`;
    const project = `${push.url}/api/v1/projects/team`;
    expect((await fetch(project)).status).toBe(401);
    expect((await fetch(project, { headers: { authorization } })).status).toBe(200);
    expect((await fetch(`${mirror.url}/v2/`)).status).toBe(401);
    expect((await push.stop()).code).toBe(0);
    expect((await mirror.stop()).code).toBe(0);
  });
});
