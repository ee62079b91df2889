import { freePort } from './free-port.ts';
import type { OwnedServers } from './owned-servers.ts';
import { startTwinport } from './registry-process.ts';
import type { TwinportProcess } from './registry-process.ts';
import { startUpstream } from './start-upstream.ts';
import type { UpstreamRegistry } from './start-upstream.ts';
import { makeTempFolder } from './temp-folder.ts';

/** What a client is tried against: both roles over one store, and a registry of somebody else. */
export interface ClientLab {
  /** The mirror's upstream, and at the same time the registry from which clients bring images. */
  readonly upstream: UpstreamRegistry;
  /** The upstream's `host:port`, past its counter. */
  readonly source: string;
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  /** The hosts of both roles: what was pushed is pulled from either. */
  readonly hosts: readonly [string, string];
}

/** Both roles over one folder; each knows the hosts of both for the `ns` parameter. Stopped with `servers`. */
export async function startClientLab(servers: OwnedServers): Promise<ClientLab> {
  const upstream = await servers.own(startUpstream());
  const [pushPort, mirrorPort] = [await freePort(), await freePort()];
  const pushUrl = `http://127.0.0.1:${pushPort}`;
  const common = {
    storage: { dataDir: makeTempFolder('data') },
    upstreamUrl: upstream.url,
    env: {
      PUSH_PUBLIC_URL: pushUrl,
      PUBLIC_HOSTS: `127.0.0.1:${pushPort},127.0.0.1:${mirrorPort}`,
      MIRROR_TAG_TTL_SECONDS: '0',
    },
  };
  const push = await servers.own(startTwinport({ ...common, role: 'push', port: pushPort }));
  const mirror = await servers.own(startTwinport({ ...common, role: 'mirror', port: mirrorPort }));
  return {
    upstream,
    source: new URL(upstream.directUrl).host,
    push,
    mirror,
    hosts: [push.host, mirror.host],
  };
}
