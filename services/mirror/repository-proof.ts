import type { Digest } from '../../shared/oci/digest.ts';
import type { ManifestReference, RepositoryName } from '../../shared/oci/reference.ts';
import { found, type Outcome, unavailable } from './upstream/outcome.ts';
import type { Upstream } from './upstream/routed-upstream.ts';

/** What a client asked for, and so what is tried. */
export type Probe =
  | { readonly kind: 'manifest'; readonly reference: ManifestReference }
  | { readonly kind: 'blob'; readonly digest: Digest };

/**
 * Whether `client` may read this of the repository. Free of Docker Hub's pull budget unless it is denied: only the body
 * of a GET tells who denies.
 */
export async function tryToRead(
  client: Upstream,
  name: RepositoryName,
  probe: Probe,
  signal: AbortSignal,
): Promise<Outcome<undefined>> {
  if (probe.kind === 'manifest') {
    const head = await client.headManifest(name, probe.reference, signal);
    if (head.kind === 'found') return found(undefined);
    if (head.kind !== 'denied' || head.isRegistryAnswer) return head;
    const got = await client.getManifest(name, probe.reference, signal);
    return got.kind === 'found' ? found(undefined) : got;
  }
  const head = await client.headBlob(name, probe.digest, signal);
  if (head.kind === 'found') return found(undefined);
  if (head.kind !== 'denied' || head.isRegistryAnswer) return head;
  const opened = await client.openBlob(name, probe.digest, 0, signal);
  if (opened.kind !== 'found') return opened;
  opened.value.body.on('error', () => undefined).destroy();
  return found(undefined);
}

/**
 * Whether `client` may read the repository, asked about something that was held of it. What is not there any more says
 * nothing of the repository, so then the repository itself is asked for: `not-found` is the upstream's word that it knows
 * none of that name, which is how some registries hide a private one.
 */
export async function tryRepository(
  client: Upstream,
  name: RepositoryName,
  probe: Probe,
  signal: AbortSignal,
): Promise<Outcome<undefined>> {
  const outcome = await tryToRead(client, name, probe, signal);
  if (outcome.kind !== 'not-found') return outcome;
  const repository = await client.findRepository(name, signal);
  // Lists may be refused where pulls are not.
  return repository.kind === 'denied'
    ? unavailable('garbage', 'the upstream does not list tags')
    : repository;
}

/** Two probes with the same name ask the same. */
export function probeName(probe: Probe): string {
  if (probe.kind === 'blob') return `blob ${probe.digest}`;
  const { reference } = probe;
  return `manifest ${reference.kind === 'tag' ? reference.tag : reference.digest}`;
}
