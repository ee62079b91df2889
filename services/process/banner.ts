import { clientHost } from '../../shared/config/client-host.ts';
import type { Config } from '../../shared/config/config.ts';
import { describeStore } from '../stores/describe-store.ts';

/** A role as it really listens. */
export interface ListeningRole {
  readonly config: Config;
  readonly port: number;
  readonly metricsPort: number;
}

/** What `npm start` shows a person when both roles listen: where they are and what to type. Plain text. */
export function banner(version: string, push: ListeningRole, mirror: ListeningRole): string {
  const host = clientHost(push.config.http.host);
  const scheme = push.config.http.tls === undefined ? 'http' : 'https';
  const address = (port: number, protocol = scheme): string => `${protocol}://${host}:${port}`;
  const { storage, redisUrl, defaultUpstream } = push.config;
  const pushHost = `${host}:${push.port}`;
  const mirrorHost = `${host}:${mirror.port}`;
  // Where people make projects by pushing, the bare name stays Docker Hub's.
  const atMirror = push.config.auth.mode === 'token' ? 'local/demo' : 'demo';
  // A login is for one host.
  const logins = [pushHost, mirrorHost].map((login) => `  docker login ${login}\n`).join('');
  return `
Twinport ${version}: one registry, two ports.

  push      ${address(push.port)}    metrics and health ${address(push.metricsPort, 'http')}
  mirror    ${address(mirror.port)}    metrics and health ${address(mirror.metricsPort, 'http')}
  upstream  ${defaultUpstream.url}
  store     ${describeStore(storage)}${redisUrl === undefined ? '' : ', index in Redis'}

Try it:

${push.config.auth.mode === 'none' ? '' : logins}  docker pull ${mirrorHost}/hello-world
  docker tag ${mirrorHost}/hello-world ${pushHost}/demo/hello:1
  docker push ${pushHost}/demo/hello:1
  docker pull ${pushHost}/demo/hello:1
  docker pull ${mirrorHost}/${atMirror}/hello:1

To let a docker daemon pull everything of the upstream through the mirror, put this into
/etc/docker/daemon.json and restart it:

  { "registry-mirrors": ["${address(mirror.port)}"] }

Ctrl-C stops it.
`;
}
