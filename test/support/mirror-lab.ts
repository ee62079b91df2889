import { freePort } from './free-port.ts';
import { type MountNamespace, startMountNamespace } from './mount-namespace.ts';
import { type FixtureImage, type FixtureIndex, makeImage, makeIndex } from './oci-fixtures.ts';
import type { OwnedServers } from './owned-servers.ts';
import { pushImage, pushIndex } from './registry-client.ts';
import { startTwinport, type TwinportProcess } from './registry-process.ts';
import { startUpstream, type UpstreamRegistry } from './start-upstream.ts';
import { makeTempFolder } from './temp-folder.ts';

type UpstreamName = (typeof UPSTREAM_NAMES)[number];

/** A mirror of several registries, and clients' way to it: its URL, and nothing that leads past it. */
export interface MirrorLab {
  /** What stands for each registry. All have another image as `team/app:1`. */
  readonly upstreams: Readonly<Record<UpstreamName, UpstreamRegistry>>;
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  /** What a client that pulls this name gets: an image of each registry, and a pushed one. */
  readonly images: Readonly<Record<UpstreamName | 'pushed', { name: string; image: FixtureImage }>>;
  /** Docker Hub's `hello:1`, an official image. */
  readonly official: FixtureImage;
  /** Of quay.io, `team/multi:1`, with linux/amd64 and linux/arm64. */
  readonly index: FixtureIndex;
  /** Where the real names of the registries lead to nobody: what is pulled there came through the mirror. */
  readonly namespace: MountNamespace;
}

const UPSTREAM_NAMES = ['docker.io', 'ghcr.io', 'quay.io'] as const;
/** For the mirror a registry that is down. */
export const DOWN = 'down.example';

/**
 * Both roles over one folder, and a real registry for each name; needs root. `folders` are those that clients find in the
 * place of others. Stopped with `servers`.
 */
export async function startMirrorLab(
  servers: OwnedServers,
  folders: Readonly<Record<string, string>> = {},
): Promise<MirrorLab> {
  const [hub, ghcr, quay] = await Promise.all([
    servers.own(startUpstream()),
    servers.own(startUpstream()),
    servers.own(startUpstream()),
  ]);
  const upstreams = { 'docker.io': hub, 'ghcr.io': ghcr, 'quay.io': quay };
  const { push, mirror } = await startRoles(servers, upstreams);
  const pushed = async (
    name: string,
    url: string,
  ): Promise<{ name: string; image: FixtureImage }> => {
    const image = makeImage({ format: 'docker' });
    await pushImage(url, 'team/app', '1', image);
    return { name: `${name}/team/app:1`, image };
  };
  const images = {
    'docker.io': await pushed('docker.io', hub.directUrl),
    'ghcr.io': await pushed('ghcr.io', ghcr.directUrl),
    'quay.io': await pushed('quay.io', quay.directUrl),
    pushed: await pushed(push.host, push.url),
  };
  const official = makeImage({ format: 'docker' });
  await pushImage(hub.directUrl, 'library/hello', '1', official);
  const index = makeIndex(['amd64', 'arm64']);
  await pushIndex(quay.directUrl, 'team/multi', '1', index);
  const names = ['registry-1.docker.io', 'index.docker.io', ...UPSTREAM_NAMES];
  const addresses = Object.fromEntries(names.map((name) => [name, NOBODY]));
  const namespace = await servers.own(startMountNamespace(addresses, folders));
  return { upstreams, push, mirror, images, official, index, namespace };
}

/** An address of this machine where nothing listens at the port for https. */
const NOBODY = '127.86.75.30';

async function startRoles(
  servers: OwnedServers,
  upstreams: Readonly<Record<UpstreamName, UpstreamRegistry>>,
): Promise<{ push: TwinportProcess; mirror: TwinportProcess }> {
  const [pushPort, mirrorPort] = [await freePort(), await freePort()];
  const common = {
    storage: { dataDir: makeTempFolder('data') },
    upstreamUrl: upstreams['docker.io'].url,
    env: {
      UPSTREAMS: JSON.stringify([
        { project: 'ghcr.io', url: upstreams['ghcr.io'].url },
        { project: 'quay.io', url: upstreams['quay.io'].url },
        { project: DOWN, url: 'http://127.0.0.1:1', hosts: [DOWN] },
      ]),
      PUSH_PUBLIC_URL: `http://127.0.0.1:${pushPort}`,
      PUBLIC_HOSTS: `127.0.0.1:${pushPort},127.0.0.1:${mirrorPort}`,
      MIRROR_TAG_TTL_SECONDS: '0',
    },
  };
  const [push, mirror] = await Promise.all([
    servers.own(startTwinport({ ...common, role: 'push', port: pushPort })),
    servers.own(startTwinport({ ...common, role: 'mirror', port: mirrorPort })),
  ]);
  return { push, mirror };
}
