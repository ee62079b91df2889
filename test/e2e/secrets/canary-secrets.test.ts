import { readFileSync } from 'node:fs';

import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { hashSecret } from '../../../shared/auth/random-secret.ts';
import { digestOf } from '../../../shared/oci/digest.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { createTestS3Client } from '../../support/start-s3.ts';
import { twinport } from '../../support/twinport-command.ts';
import { Canaries } from './canaries.ts';
import { as, Conversation } from './conversation.ts';
import { type GuardedRegistries, startGuarded } from './guarded-registries.ts';
import { inRedis, inStore, isStored, noteStored, readStore } from './kept-secrets.ts';
import { manage } from './management.ts';
import { pullThroughMirror } from './mirror-pulls.ts';
import { startWrongly } from './refused-starts.ts';
import { BLOB, makeMistakes, useImages } from './uses.ts';
import { visitPages } from './web-visits.ts';

describeWithTools(['minio', 'redis-server', 'slapd', 'openssl'], 'secrets', () => {
  const servers = new OwnedServers();
  const canaries = new Canaries();
  let guarded: GuardedRegistries;
  let talk: Conversation;
  let s3: S3Client;
  let root: string;
  let robot: string;
  let robotSecret: string;
  /** What commands told beside their results. */
  let commandNotes = '';

  beforeAll(async () => {
    guarded = await startGuarded(servers, canaries);
    talk = new Conversation(guarded, canaries);
    s3 = createTestS3Client(guarded.s3);
    const env = {
      ...guarded.env,
      REDIS_URL: `redis://:${guarded.redisPassword}@127.0.0.1:${guarded.redis.port}`,
      AUDIT_LOG: 'stdout',
    };
    const command = async (words: string): Promise<string> => {
      const { code, stdout, stderr } = await twinport(words, guarded.s3, env);
      expect([code, stderr]).toEqual([0, expect.stringContaining('"by":"command-line"')]);
      commandNotes += stderr;
      return stdout;
    };
    const password = /Password: (\S+)/.exec(await command('user add root --admin'))?.[1] ?? '';
    root = canaries.basic('root', canaries.note('root', password));
    await command('project create team');
    const made = await command('robot add team ci --rights pull,push');
    robotSecret = /twp_\S+/.exec(made)?.[0] ?? '';
    robot = canaries.basic('robot$team+ci', canaries.note('the robot', robotSecret));
  });
  afterAll(async () => {
    s3.destroy();
    await servers.stopAll();
  });

  /** What every server behind it hanging, and then being gone, makes the processes say. */
  async function outages(): Promise<void> {
    const { slapd, provider, redis, passwords } = guarded;
    const asLara = (role: 'push' | 'mirror', end: string) =>
      talk.ask(role, '/v2/', as(canaries.basic('lara', `${passwords.lara}${end}`)));
    slapd.pause();
    const hung = await Promise.all([asLara('push', 'x'), asLara('mirror', 'x')]);
    slapd.resume();
    expect(hung.map(({ status }) => status)).toEqual([503, 503]);
    await Promise.all([slapd.stop(), provider.close()]);
    await asLara('push', 'y');
    const code = canaries.make('the code of a sign-in that cannot be checked');
    await talk.ask('push', '/auth/oidc/login');
    await talk.ask('push', `/auth/oidc/callback?code=${code}`);
    await redis.stop();
    await talk.ask('push', '/v2/team/app/tags/list', as(root));
    await guarded.s3.stop();
    for (const role of ['push', 'mirror'] as const) {
      await talk.ask(role, '/v2/local/team/app/tags/list', as(root));
      await talk.ask(role, '/v2/', as(robot));
      const upload = `/v2/team/app/blobs/uploads/?digest=${digestOf(BLOB)}`;
      await talk.ask(role, upload, as(root, { method: 'POST', body: BLOB }));
      await talk.ask(role, '/api/v1/users', as(root));
    }
  }

  async function observed(): Promise<string> {
    const pages = [guarded.push, guarded.mirror].flatMap(({ metricsUrl }) =>
      ['metrics', 'readyz', 'healthz', 'livez'].map(async (page) =>
        (await fetch(`${metricsUrl}/${page}`)).text(),
      ),
    );
    return (await Promise.all(pages)).join('\n');
  }

  test('are recognised in the forms in which they travel', () => {
    const one = new Canaries();
    const header = one.basic('alice', one.make('alice'));
    const password = Buffer.from(header.slice(6), 'base64').toString().slice('alice:'.length);
    for (const text of [header, password, `x${Buffer.from(password).toString('hex')}`]) {
      expect(one.in('a text', text)).not.toEqual([]);
    }
    expect(one.in('a text', 'alice')).toEqual([]);
  });

  test('come out nowhere: not in answers, lists, metrics, the store or Redis', async () => {
    const { harry, lara } = guarded.passwords;
    const lender = guarded.upstreams.others.valued.url;
    const { cliPassword, kept } = await manage(talk, canaries, { root, lender });
    await useImages(talk, {
      ...{ root, robot },
      harry: canaries.basic('harry', harry),
      lara: canaries.basic('lara', lara),
      laptop: canaries.basic('root', cliPassword),
    });
    const { provider } = guarded;
    await visitPages(talk, canaries, { origin: guarded.push.url, provider, root });
    await pullThroughMirror(talk, guarded.upstreams, root);
    // Last: who makes mistakes has to wait.
    await makeMistakes(talk, canaries);
    const stored = await readStore(s3, guarded.s3);
    noteStored(canaries, stored);
    expect(talk.found()).toEqual([]);
    expect(canaries.in('metrics', await observed())).toEqual([]);
    expect(inStore(canaries, stored)).toEqual([]);
    expect(await inRedis(canaries, guarded)).toEqual([]);
    expect(canaries.in('what commands note', commandNotes)).toEqual([]);
    // What is compared with is their hash.
    for (const hash of [hashSecret(robotSecret), ...kept]) {
      expect([hash, isStored(stored, hash)]).toEqual([hash, true]);
    }
  });

  test('come out nowhere when a process cannot start with them', async () => {
    const outputs = await startWrongly(guarded, canaries.make('a secret of a broken start'));
    for (const [position, { code, stdout, stderr }] of outputs.entries()) {
      expect([position, code, stdout + stderr]).not.toEqual([position, 0, expect.anything()]);
      expect(canaries.in(`start ${position}`, stdout + stderr)).toEqual([]);
    }
  });

  test('come out nowhere when what stands behind hangs or is gone: not in the log, nor in the record of who did what', async () => {
    await outages();
    expect(talk.found()).toEqual([]);
    expect(canaries.in('metrics', await observed())).toEqual([]);
    const { push, mirror, auditLog } = guarded;
    expect(push.logs()).toContain('"message":"request"');
    expect(canaries.in('the log', push.logs())).toEqual([]);
    expect(canaries.in('the log of the mirror', mirror.logs())).toEqual([]);
    const audit = readFileSync(auditLog);
    for (const action of ['sign-in', 'make-secret', 'change-right', 'sign-out']) {
      expect(audit.toString()).toContain(`"${action}"`);
    }
    expect(canaries.in('the record', audit)).toEqual([]);
    const environment = readFileSync(guarded.upstreams.helperEnvironment);
    expect(environment.toString()).toContain('PATH=');
    expect(canaries.in('what a helper is started with', environment)).toEqual([]);
    for (const { pid } of [push, mirror]) {
      expect(canaries.in('a command line', readFileSync(`/proc/${pid}/cmdline`))).toEqual([]);
    }
  });
});
