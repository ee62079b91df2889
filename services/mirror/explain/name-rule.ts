import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { RequestedRepository } from '../../../shared/content/content-source.ts';
import type { MirrorMeaning } from '../../../shared/content/mirror-names.ts';
import { LOCAL_PREFIX } from '../../../shared/content/reserved-names.ts';
import { firstSegment } from '../../../shared/oci/reference.ts';

/** Why a name means what it means, as a sentence; for a meaning that MirrorNames gave. */
export function nameRule(
  { name, namespace }: RequestedRepository,
  meaning: MirrorMeaning<UpstreamConfig>,
): string {
  const first = firstSegment(name);
  if (meaning.kind === 'refused') {
    const { upstream, upstreamRepository } = meaning;
    return `the upstream ${upstream.project} is configured not to give ${upstreamRepository} (allow, deny)`;
  }
  if (namespace !== undefined) {
    if (meaning.kind === 'upstream')
      return `ns=${namespace} names the upstream ${meaning.upstream.project}`;
    return meaning.kind === 'local'
      ? `ns=${namespace} names this registry itself`
      : `ns=${namespace} names nothing that this mirror knows`;
  }
  if (meaning.kind === 'unknown') return 'no repository is left of the name';
  if (meaning.kind === 'local') {
    return first === LOCAL_PREFIX
      ? `the prefix ${LOCAL_PREFIX}/ names this store`
      : `${first} is a project that was pushed here`;
  }
  const { project, hosts } = meaning.upstream;
  if (first === project) return `the first segment is the project of the upstream ${project}`;
  if (hosts.includes(first)) return `the first segment is a host of the upstream ${project}`;
  return `${first} names no project here and no upstream, so ${project} is asked, as the default upstream`;
}

/** What of the name was read otherwise than it was written. */
export function spellingRules(
  { name }: RequestedRepository,
  meaning: MirrorMeaning<UpstreamConfig>,
): readonly string[] {
  if (meaning.kind === 'unknown') return [];
  const first = firstSegment(name);
  if (meaning.kind === 'local') {
    const isStripped = first === LOCAL_PREFIX && meaning.repository !== name;
    return isStripped ? [`the prefix ${LOCAL_PREFIX}/ is left out`] : [];
  }
  const { project, hosts } = meaning.upstream;
  const isNamed = first === project || hosts.includes(first);
  const rest = isNamed ? name.slice(first.length + 1) : name;
  const rules = isNamed ? [`${first}/ names the upstream and is left out`] : [];
  if (rest !== meaning.upstreamRepository) {
    rules.push(`${rest} is the official image ${meaning.upstreamRepository}`);
  }
  return rules;
}
