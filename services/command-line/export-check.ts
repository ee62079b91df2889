import { checkExport, type ExportFindings } from '../../shared/content/export-check.ts';
import { ManifestStore } from '../../shared/content/manifest-store.ts';
import { createStoreIndex } from '../../shared/index/store/create-store-index.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import type { RepositoryName } from '../../shared/oci/reference.ts';
import { describeStore } from '../stores/describe-store.ts';
import { type StoreCommand, type CommandContext, EXIT } from './command.ts';
import { requireRegistryStore } from './require-registry-store.ts';

/** Names that a note lists before it only counts. */
const LISTED = 10;

export const exportCheck: StoreCommand = {
  name: 'export-check',
  summary: 'list what distribution v3 (registry:3) would not serve from this store',
  help: `Reads the whole store and lists what the CNCF distribution registry, version 3, started on it would not
serve as Twinport does, and what makes its garbage collector fail or take what is needed. Then it says
what does not travel. It writes nothing and may run beside the service.

Exit code: 0 everything is served, 1 something listed is not, 2 the store could not be read.`,
  run,
};

async function run(context: CommandContext): Promise<number> {
  await requireRegistryStore(context);
  const { config, stores, signal, print } = context;
  const { records, blobs } = stores;
  const index = createStoreIndex(records, systemClock);
  const dependencies = {
    records,
    manifests: new ManifestStore(blobs, index),
    origins: index.origins,
    isFolderStore: config.storage.kind === 'filesystem',
  };
  const found = new Map<RepositoryName, ExportFindings>();
  for (const repository of await index.catalog.repositories(signal)) {
    found.set(repository, await checkExport(repository, dependencies, signal));
  }
  const all = [...found.values()];
  const problems = all.flatMap((findings) => findings.problems);
  if (problems.length > 0) {
    print('Not as here at distribution v3:');
    for (const { where, what } of problems) print(`  ${where}: ${what}`);
    print('');
  }
  print('Does not travel:');
  for (const line of notes(found)) print(`  ${line}`);
  print('');
  const size = `${found.size} repositories, ${sum(all, 'manifests')} manifests and ${sum(all, 'tags')} tags in ${describeStore(config.storage)}`;
  print(`Checked ${size}: ${verdict(problems.length)}`);
  return problems.length === 0 ? EXIT.fine : EXIT.found;
}

function verdict(problems: number): string {
  if (problems === 0) return 'distribution v3 serves all of it.';
  return problems === 1 ? 'one problem.' : `${problems} problems.`;
}

/** What is right and nevertheless not the same afterwards. */
function* notes(found: ReadonlyMap<RepositoryName, ExportFindings>): Generator<string> {
  yield 'Users and rights: distribution has its own.';
  yield 'The index in Redis, project records (twinport/) and _twinport folders: distribution passes them over.';
  const all = [...found.values()];
  const referrers = sum(all, 'referrers');
  if (referrers > 0) {
    yield `The lists of referrers (manifests with a subject: ${referrers}): distribution has none; the manifests are served.`;
  }
  const untagged = sum(all, 'untagged');
  if (untagged > 0) {
    yield `With --delete-untagged its garbage collector removes those of ${untagged} manifests without a tag that no index lists.`;
  }
  const unlisted = sum(all, 'unlisted');
  if (unlisted > 0) {
    yield `${unlisted} tags in its lists: on S3 distribution leaves out tags whose name begins with that of another; pulling them works.`;
  }
  const names = (predicate: (findings: ExportFindings) => boolean): RepositoryName[] =>
    [...found].filter(([, findings]) => predicate(findings)).map(([name]) => name);
  const cached = names(({ cachedFrom }) => cachedFrom !== undefined);
  if (cached.length > 0) {
    yield `That these are copies of an upstream: distribution serves them as if they were pushed, as far as they are here, and never again asks for a newer one: ${listed(cached)}.`;
  }
  const empty = names(({ isWithoutManifests }) => isWithoutManifests);
  if (empty.length > 0) {
    yield `Repositories with blobs and without a manifest: distribution does not list them, and its garbage collector takes the blobs: ${listed(empty)}.`;
  }
}

function listed(names: readonly RepositoryName[]): string {
  const more = names.length - LISTED;
  return names.slice(0, LISTED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

const sum = (
  all: readonly ExportFindings[],
  field: 'manifests' | 'tags' | 'untagged' | 'unlisted' | 'referrers',
): number => all.reduce((total, findings) => total + findings[field], 0);
