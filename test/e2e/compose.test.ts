import { readFileSync } from 'node:fs';
import path from 'node:path';

import { beforeAll, expect, test } from '@jest/globals';
import { z } from 'zod';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { requireTool } from '../support/find-tool.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { TOOLS } from '../support/tools.ts';

const ROOT = path.resolve(import.meta.dirname, '..', '..');

const SERVICE = z.object({
  image: z.string(),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  user: z.string().optional(),
  command: z.array(z.string()).nullable(),
  environment: z.record(z.string(), z.string()).optional(),
  ports: z.array(z.object({ host_ip: z.string(), published: z.string() })).optional(),
  networks: z.record(z.string(), z.unknown()).optional(),
  depends_on: z.record(z.string(), z.unknown()).optional(),
});
const PROJECT = z.object({
  name: z.string(),
  services: z.record(z.string(), SERVICE),
  networks: z.record(z.string(), z.object({ internal: z.boolean().optional() })),
});
type Project = z.infer<typeof PROJECT>;

/** What `docker compose config` makes of the file with these variables set and no others. */
async function composeConfig(variables: Readonly<Record<string, string>> = {}): Promise<Project> {
  const args = ['--file', 'docker-compose.yml', 'config', '--format', 'json'];
  const output = await runSuccessfully(requireTool('docker-compose'), args, {
    cwd: ROOT,
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...variables },
  });
  return PROJECT.parse(JSON.parse(output));
}

describeWithTools(['docker-compose'], 'docker-compose.yml', () => {
  let project: Project;

  beforeAll(async () => {
    project = await composeConfig();
  });

  test('is what compose accepts: both roles, Redis, an S3 server and the making of its bucket', () => {
    expect(project.name).toBe('twinport');
    expect(Object.keys(project.services).toSorted()).toEqual([
      'bucket',
      'mirror',
      'push',
      'redis',
      's3',
    ]);
  });

  test('starts both roles from one image over one bucket and one Redis', () => {
    const { push, mirror } = project.services;
    expect(push!.image).toBe(mirror!.image);
    expect(push!.environment!['RUN_AS_MIRROR']).toBe('false');
    expect(mirror!.environment!['RUN_AS_MIRROR']).toBe('true');
    for (const name of ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'REDIS_URL'])
      expect(push!.environment![name]).toBe(mirror!.environment![name]);
  });

  test('confines every container and gives root to none that stays', () => {
    for (const [name, service] of Object.entries(project.services)) {
      expect([name, service.read_only]).toEqual([name, true]);
      expect([name, service.cap_drop]).toEqual([name, ['ALL']]);
      expect([name, service.security_opt]).toEqual([name, ['no-new-privileges:true']]);
    }
    expect(project.services['redis']!.user).toBe('65532:65532');
    expect(project.services['s3']!.user).toBe('65532:65532');
  });

  test('is reached from this machine alone, and its S3 server and Redis from nowhere outside', () => {
    const published = Object.values(project.services).flatMap(({ ports = [] }) => ports);
    expect(published.map(({ published: port }) => port).toSorted()).toEqual([
      '5000',
      '5001',
      '9090',
      '9091',
    ]);
    expect(new Set(published.map(({ host_ip }) => host_ip))).toEqual(new Set(['127.0.0.1']));
    expect(project.networks['back']!.internal).toBe(true);
    for (const name of ['redis', 's3'])
      expect(Object.keys(project.services[name]!.networks!)).toEqual(['back']);
  });

  test('keeps Redis from dropping keys and from refusing the other containers', () => {
    const command = project.services['redis']!.command!;
    expect(command[command.indexOf('--maxmemory-policy') + 1]).toBe('noeviction');
    expect(command[command.indexOf('--protected-mode') + 1]).toBe('no');
  });

  test('takes every image and the keys from variables', async () => {
    const changed = await composeConfig({
      TWINPORT_IMAGE: 'registry.example/twinport:2',
      REDIS_IMAGE: 'registry.example/redis:8',
      S3_IMAGE: 'registry.example/s3:1',
      S3_SECRET_ACCESS_KEY: 'another',
    });
    const images = Object.values(changed.services).map(({ image }) => image);
    expect(images.every((image) => image.startsWith('registry.example/'))).toBe(true);
    expect(changed.services['push']!.environment!['S3_SECRET_ACCESS_KEY']).toBe('another');
    expect(changed.services['s3']!.environment!['ROOT_SECRET_KEY']).toBe('another');
  });

  test('names the version of the S3 server that the tests run', () => {
    const text = readFileSync(path.join(ROOT, 'docker-compose.yml'), 'utf8');
    expect(text).toContain(`ghcr.io/versity/versitygw:${TOOLS.versitygw.version}}`);
  });
});
