import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { basic, htpasswdLines } from '../../shared/auth/testing/htpasswd-lines.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { MEDIA_TYPES } from '../support/oci-fixtures.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { startVersitygw, type S3Server } from '../support/start-s3.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { twinport } from '../support/twinport-command.ts';

const INDEX = { schemaVersion: 2, mediaType: MEDIA_TYPES.oci.index, manifests: [] };

/** Neither a store that lets one of several writers win nor a Redis. */
describeWithTools(['versitygw'], 'over versitygw without Redis', () => {
  const servers = new OwnedServers();
  const authorization = basic('alice', 'wonderland');
  let storage: S3Server;
  let push: TwinportProcess;
  beforeAll(async () => {
    storage = await servers.own(startVersitygw());
    const users = path.join(makeTempFolder('users'), 'users');
    writeFileSync(users, await htpasswdLines({ alice: 'wonderland' }));
    const env = { AUTH_MODE: 'token', AUTH_HTPASSWD_FILE: users };
    push = await servers.own(startTwinport({ role: 'push', storage, env }));
  });
  afterAll(() => servers.stopAll());

  const call = (method: string, target: string, body?: object): Promise<Response> =>
    fetch(`${push.url}${target}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });

  test('nobody is made administrator, and the log says why', () => {
    expect(push.logs()).toContain('there is no administrator, and none could be made');
  });

  test('people change nothing (503), yet a push makes its project, which is theirs', async () => {
    const project = '/api/v1/projects/wonder';
    expect((await call('POST', '/api/v1/projects', { name: 'wonder' })).status).toBe(503);
    const put = await fetch(`${push.url}/v2/wonder/land/manifests/1`, {
      method: 'PUT',
      headers: { authorization, 'content-type': INDEX.mediaType },
      body: JSON.stringify(INDEX),
    });
    expect(put.status).toBe(201);
    expect(await (await call('GET', project)).json()).toMatchObject({
      visibility: 'private',
      role: 'maintainer',
    });
    const refused = await call('PATCH', project, { visibility: 'public' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.text()).toContain('nothing was changed');
    expect(await (await call('GET', project)).json()).toMatchObject({ visibility: 'private' });
    const typed = await twinport('project set wonder --visibility public', storage);
    expect([typed.code, typed.stderr]).toEqual([2, expect.stringContaining('nothing was changed')]);
  });
});
