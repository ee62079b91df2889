import { MEDIA_TYPES } from '../../../shared/oci/media-types.ts';
import { type FakeUpstream, startFakeUpstream } from '../../support/fake-upstream.ts';
import { type RepositoryContent, TAG } from './contents.ts';
import { CONTENT, PASSED, VAULT } from './names.ts';

/** Upstreams of projects that people make are not spoken to at such an address. */
export const CUT_OFF = 'https://127.0.0.1:1';
const GUARDED = {
  insecure: true,
  credentials: [{ username: 'mirror', password: 'of the mirror' }],
};

/** What the mirror of the model caches from. */
export interface Upstreams {
  /** In place of Docker Hub. */
  readonly hubUrl: string;
  readonly passedUrl: string;
  /** The others, as the configuration has them. */
  readonly variable: string;
  stop(): Promise<void>;
}

export async function startUpstreams(): Promise<Upstreams> {
  const [hub, vault, passed] = await Promise.all([
    startHub(),
    startGuarded('team/app', CONTENT.vault),
    startGuarded('app', CONTENT.passed),
  ]);
  const shared = { project: 'vault', url: vault.url, hosts: [VAULT], private: 'shared' };
  const passing = { project: 'passed', url: passed.url, hosts: [PASSED], private: 'pass-through' };
  return {
    hubUrl: hub.url,
    passedUrl: passed.url,
    variable: JSON.stringify([shared, passing].map((upstream) => ({ ...upstream, ...GUARDED }))),
    stop: async () => {
      await Promise.all([hub, vault, passed].map((upstream) => upstream.stop()));
    },
  };
}

async function startHub(): Promise<FakeUpstream> {
  const hub = await startFakeUpstream();
  addContent(hub, 'library/hello', CONTENT.hub);
  addContent(hub, 'others/app', CONTENT.hubOthers);
  addContent(hub, 'org/hidden', CONTENT.hidden);
  hub.behaviour.wantsToken = true;
  hub.behaviour.privateRepositories.add('org/hidden');
  return hub;
}

/** One that shows what it has to its account alone. */
async function startGuarded(repository: string, content: RepositoryContent): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream();
  addContent(upstream, repository, content);
  upstream.behaviour.wantsToken = true;
  [upstream.behaviour.account] = GUARDED.credentials;
  upstream.behaviour.privateRepositories.add(repository);
  return upstream;
}

function addContent(upstream: FakeUpstream, repository: string, content: RepositoryContent): void {
  const { config, layer, layer512, manifest, manifest512, index, referrer } = content;
  const add = (reference: string, { bytes, digest }: typeof manifest, mediaType: string): void =>
    upstream.addImage(repository, reference, { manifest: { bytes, digest, mediaType }, blobs: [] });
  add(manifest512, manifest, MEDIA_TYPES.ociManifest);
  add(referrer.digest, referrer, MEDIA_TYPES.ociManifest);
  add('multi', index, MEDIA_TYPES.ociIndex);
  add(TAG, manifest, MEDIA_TYPES.ociManifest);
  for (const { digest, bytes } of [config, layer]) upstream.addBlob(repository, digest, bytes);
  upstream.addBlob(repository, layer512, layer.bytes);
}
