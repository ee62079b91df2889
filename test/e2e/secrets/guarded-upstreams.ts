import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { type FakeUpstream, startFakeUpstream } from '../../support/fake-upstream.ts';
import { makeImage } from '../../support/oci-fixtures.ts';
import type { OwnedServers } from '../../support/owned-servers.ts';
import type { Canaries } from './canaries.ts';

/** Docker Hub's stand-in and upstreams with an account of every kind. */
export interface GuardedUpstreams {
  readonly hub: FakeUpstream;
  readonly hubAccount: { readonly username: string; readonly password: string };
  /** Those of `UPSTREAMS`, by project. */
  readonly others: Readonly<Record<'valued' | 'filed' | 'helped', FakeUpstream>>;
  /** `UPSTREAMS`. */
  readonly entries: string;
  /** Where a helper writes down with which environment it was started. */
  readonly helperEnvironment: string;
}

const USERNAME = 'twinport';

/** `file` writes a file and tells its path. */
export async function startUpstreams(
  servers: OwnedServers,
  canaries: Canaries,
  file: (name: string, text: string) => string,
): Promise<GuardedUpstreams> {
  const start = async (what: string): Promise<[FakeUpstream, string]> => {
    const upstream = await servers.own(startFakeUpstream());
    const password = canaries.make(`the account at the upstream ${what}`);
    for (const repository of ['team/app', 'library/hello', 'org/hidden']) {
      upstream.addImage(repository, '1', makeImage());
    }
    upstream.behaviour.wantsToken = true;
    upstream.behaviour.account = { username: USERNAME, password };
    upstream.behaviour.privateRepositories.add('team/app').add('org/hidden');
    return [upstream, password];
  };
  const [hub, hubPassword] = await start('that variables name');
  const [valued, password] = await start('with a password');
  const [filed, filedPassword] = await start('with a file');
  const [helped, helperSecret] = await start('with a helper');
  const told = JSON.stringify({ Username: USERNAME, Secret: helperSecret });
  const helperEnvironment = file('environment', '');
  const helper = file('helper.sh', `cat >/dev/null\nenv >${helperEnvironment}\necho '${told}'\n`);
  const failing = canaries.make('what a helper says that fails');
  const failingHelper = file('failing.sh', `echo ${failing}\necho ${failing} >&2\nexit 3\n`);
  const proxyAccount = `wolf:${canaries.make('the account at the proxy')}`;
  const proxy = await servers.own(startRefusingProxy());
  const entries = [
    { project: 'valued', url: valued.url, credentials: [{ username: USERNAME, password }] },
    {
      ...{ project: 'filed', url: filed.url },
      credentials: [{ username: USERNAME, passwordFile: file('upstream', filedPassword) }],
    },
    {
      ...{ project: 'helped', url: helped.url },
      credentials: [{ helper: ['/bin/sh', helper] }],
    },
    {
      ...{ project: 'unhelped', url: 'http://127.0.0.1:1' },
      credentials: [{ helper: ['/bin/sh', failingHelper] }],
    },
    {
      ...{ project: 'behind', url: 'https://registry.example' },
      proxyUrl: proxy.url.replace('//', `//${proxyAccount}@`),
    },
  ];
  return {
    hub,
    hubAccount: { username: USERNAME, password: hubPassword },
    others: { valued, filed, helped },
    helperEnvironment,
    entries: JSON.stringify(entries.map((entry) => ({ ...entry, private: 'shared' }))),
  };
}

/** A proxy that takes no account. */
async function startRefusingProxy(): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((_request, response) => response.writeHead(407).end());
  server.on('connect', (_request, socket) =>
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
