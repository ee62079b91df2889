import type { PushConfig } from '../../shared/config/config.ts';
import { BlockedContent } from '../../shared/content/blocks/blocked-content.ts';
import { BlockList } from '../../shared/content/blocks/block-list.ts';
import { damageReporter } from '../../shared/content/damage.ts';
import { HeldContent } from '../../shared/content/held-content.ts';
import { LastUse } from '../../shared/content/last-use.ts';
import { LocalContent } from '../../shared/content/local-content.ts';
import { ManifestStore } from '../../shared/content/manifest-store.ts';
import { LinkRefresh } from '../../shared/content/removal/link-refresh.ts';
import { Projects } from '../../shared/content/projects.ts';
import { PushContent } from '../../shared/content/push-content.ts';
import { PushNames } from '../../shared/content/push-names.ts';
import { checkStore } from '../../shared/content/store-check.ts';
import { publishedProjects, UpstreamTable } from '../../shared/content/upstream-table.ts';
import { createPullHandlers } from '../../shared/http/pull-handlers.ts';
import { askStore } from '../../shared/content/store-probe.ts';
import { createV2App } from '../../shared/http/create-v2-app.ts';
import { placeAtPush, placeOfStoredAtPush } from '../../shared/management/place-at-push.ts';
import { ProjectQuotas } from '../../shared/management/quotas/project-quotas.ts';
import { Health } from '../../shared/observability/health.ts';
import type { UploadReaper, UploadStore } from '../../shared/storage/upload-store.ts';
import type { Platform, RoleApp } from '../platform/platform.ts';
import { projectAccess } from '../identities/project-rights.ts';
import { roleIdentities } from '../platform/role-identities.ts';
import { accessName } from './access-name.ts';
import { createDeleteHandlers, manifestRemoval } from './delete-handlers.ts';
import { managementApi } from './management-api.ts';
import { createManifestPutHandler } from './manifest/manifest-put-handler.ts';
import { ManifestPushService } from './manifest/manifest-push-service.ts';
import { ownProjects } from './own-projects.ts';
import { refuseBlocked } from './refuse-blocked.ts';
import { createUploadHandlers } from './upload/upload-handlers.ts';
import { runUploadReaper } from './upload/upload-reaper.ts';
import { UploadService } from './upload/upload-service.ts';

/** The push service: everything that is pushed, and read-only what a mirror over the same store holds. */
export function createPushApp(
  platform: Platform,
  uploads: UploadStore & UploadReaper,
  config: PushConfig,
): RoleApp {
  const { records, clock } = platform;
  const read = openContent(platform, config);
  const { index, blocks, upstreams, projects, names, manifests, lastUse, pushed, content } = read;
  const rights = projectAccess(platform, {
    projectNow: (name, signal) => projects.anew(name, signal),
    placeOf: placeAtPush({ projects, upstreams, rules: config }),
    placeOfStored: placeOfStoredAtPush({ projects, upstreams }, index.origins),
  });
  const identities = roleIdentities(platform, { role: 'push', ...rights });
  const stop = new AbortController();
  const lifetime = AbortSignal.any([platform.shutdown, stop.signal]);
  const quotas = new ProjectQuotas({ ...platform, ...platform.ledgers, lifetime });
  const writes = createWrites({ ...read, quotas }, uploads, { ...platform, ...config });
  const removal = { manifests, index, projects, names, quotas };
  const remove = config.isDeleteEnabled ? manifestRemoval(removal) : undefined;
  const health = new Health({
    clock,
    probeStore: (signal) => askStore(records, signal),
    degraded: () => Promise.resolve([]),
  });
  const app = createV2App({
    ...platform,
    ...identities,
    api: managementApi(platform, {
      ...{ content, index, remove, health, policy: rights.policy },
      repositoryOf: (requested, signal) => pushed.repositoryOf(requested, signal),
      onProjectChange: (project) => projects.note(project),
      usedBytes: (project, signal) => quotas.usedBytes(project, signal),
    }),
    accessName: (pulled, signal) => accessName(pulled, { ...config, upstreams }, signal),
    handlers: {
      ...createPullHandlers(content, (signal) => index.catalog.repositories(signal), rights),
      ...refuseBlocked(ownProjects(writes, names, platform.projectRights), blocks),
      ...(remove && createDeleteHandlers(remove, removal)),
    },
  });

  let running: Promise<unknown> = Promise.resolve();
  return {
    app,
    start: async () => {
      await checkStore(records, platform.shutdown);
      const published = await publishedProjects(records, platform.shutdown);
      await projects.adoptAll(published, platform.shutdown);
      health.started();
      const { uploadTtlSeconds } = config;
      running = Promise.all([
        runUploadReaper({ ...platform, uploads, leases: index.leases, uploadTtlSeconds }, lifetime),
        lastUse.run(lifetime),
        quotas.run(lifetime),
      ]);
    },
    degraded: () => Promise.resolve([]),
    close: async () => {
      stop.abort();
      await running;
    },
  };
}

/** What is there, and how it is read. */
function openContent(platform: Platform, config: PushConfig) {
  const { records, clock } = platform;
  const links = new LinkRefresh({ ...platform, members: platform.index.members });
  const index = { ...platform.index, members: links.members };
  const blocks = new BlockList(records, clock, platform.shutdown);
  const blobs = blocks.guarding(platform.blobs);
  const upstreams = new UpstreamTable(records, config.upstreams, clock);
  const { projectRights, management } = platform;
  const projects = new Projects({
    ...{ ...index, records, clock, adoptsAtStartAlone: projectRights !== undefined },
    ...(management && {
      makeOne: (record, signal) => management.administration.makeAtPush(record, signal),
    }),
  });
  const names = new PushNames(projects, upstreams, config, clock);
  const onDamage = damageReporter(platform);
  const manifests = new ManifestStore(blobs, index, onDamage, config.memoryCacheBytes / 2);
  const lastUse = new LastUse({ ...platform, origins: index.origins });
  const local = new LocalContent({ ...platform, index, manifests, onDamage, lastUse });
  const { publicHosts } = config;
  const held = new HeldContent(index.members, manifests);
  const pushed = new PushContent({ local, links, held, index, projects, upstreams, publicHosts });
  const content = new BlockedContent(pushed, blocks, (requested, signal) =>
    pushed.repositoryOf(requested, signal),
  );
  const parts = { index, links, blobs, blocks, upstreams, projects, names, manifests, lastUse };
  return { ...parts, pushed, content };
}

type WriteParts = ReturnType<typeof openContent> & { readonly quotas: ProjectQuotas };

function createWrites(
  { index, links, blobs, names, quotas, manifests, content }: WriteParts,
  uploads: UploadStore,
  {
    manifestReferences,
    projectRights,
  }: Pick<PushConfig & Platform, 'manifestReferences' | 'projectRights'>,
) {
  const uploadService = new UploadService({
    uploads,
    blobs,
    index,
    names,
    quotas,
    findBlob: (name, digest, signal) =>
      content.blobStat({ name, namespace: undefined }, digest, signal),
  });
  const manifestPush = new ManifestPushService({
    ...{ manifests, members: index.members, links, blobs, names, quotas, manifestReferences },
    // Where projects belong to people, only who begins a push makes one (ownProjects).
    projectOf: (repository, signal) =>
      projectRights
        ? names.requireOpen(repository, signal)
        : names.requirePushable(repository, signal),
  });
  return {
    ...createUploadHandlers(uploadService),
    manifestPut: createManifestPutHandler(manifestPush),
  };
}
