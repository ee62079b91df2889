import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startClientLab } from '../../support/client-lab.ts';
import type { ClientLab } from '../../support/client-lab.ts';
import { clientProgram } from '../../support/client-program.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { pullImage } from '../../support/registry-client.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

describeWithTools(['helm', 'registry'], 'helm', () => {
  const { home, attempt, run } = clientProgram('helm');
  const plain = '--plain-http';
  const servers = new OwnedServers();
  let lab: ClientLab;

  /** A packaged chart with one template; answers its file. */
  const packageChart = async (version: string): Promise<string> => {
    const chart = path.join(home, 'app');
    mkdirSync(path.join(chart, 'templates'), { recursive: true });
    writeFileSync(path.join(chart, 'Chart.yaml'), `apiVersion: v2\nname: app\nversion: ${version}`);
    const template = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Chart.Version }}\n';
    writeFileSync(path.join(chart, 'templates', 'map.yaml'), template);
    await run('package', chart, '--destination', home);
    return path.join(home, `app-${version}.tgz`);
  };

  beforeAll(async () => {
    lab = await startClientLab(servers);
  });
  afterAll(() => servers.stopAll());

  test('pushes a chart and pulls it from both roles by version and by digest', async () => {
    const file = await packageChart('1.0.0');
    const { code, stdout, stderr } = await attempt(
      ...['push', plain, file, `oci://${lab.push.host}/charts`],
    );
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    const digest = /sha256:[0-9a-f]{64}/.exec(`${stdout}${stderr}`)?.[0] ?? 'no digest';
    for (const host of lab.hosts) {
      const chart = `oci://${host}/charts/app`;
      for (const reference of [[chart, '--version=1.0.0'], [`${chart}@${digest}`]]) {
        const folder = makeTempFolder('helm');
        await run('pull', plain, '--destination', folder, '--untar', ...reference);
        const pulled = await readFile(path.join(folder, 'app', 'Chart.yaml'), 'utf8');
        expect(pulled).toContain('version: 1.0.0');
      }
    }
    expect((await pullImage(lab.mirror.url, 'charts/app', '1.0.0')).digest).toBe(digest);
  });

  test('finds the newest version among the tags, and renders it from either role', async () => {
    for (const version of ['1.1.0', '1.2.0', '1.3.0-rc.1', '1.2.0+build.7']) {
      await run('push', plain, await packageChart(version), `oci://${lab.push.host}/charts/many`);
    }
    for (const host of lab.hosts) {
      const chart = `oci://${host}/charts/many/app`;
      expect(await run('template', plain, 'name', chart)).toMatch(/name: 1\.2\.0/);
      expect(await run('show', 'chart', plain, '--version=1.2.0+build.7', chart)).toContain(
        'version: 1.2.0+build.7',
      );
    }
  });

  test('pushes a changed chart under the same version', async () => {
    await run('push', plain, await packageChart('2.0.0'), `oci://${lab.push.host}/charts/moving`);
    const first = await pullImage(lab.push.url, 'charts/moving/app', '2.0.0');
    writeFileSync(path.join(home, 'app', 'values.yaml'), 'changed: true\n');
    await run('push', plain, await packageChart('2.0.0'), `oci://${lab.push.host}/charts/moving`);
    const second = await pullImage(lab.mirror.url, 'charts/moving/app', '2.0.0');
    expect(second.digest).not.toBe(first.digest);
  });

  test('is refused by the mirror with the address to push to', async () => {
    const { code, stderr } = await attempt(
      ...['push', plain, await packageChart('1.0.0'), `oci://${lab.mirror.host}/charts/refused`],
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain(lab.push.url);
  });
});
