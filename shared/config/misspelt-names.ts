import { editDistance } from './edit-distance.ts';
import { VARIABLE_NAMES, variable } from './variables.ts';

/** Words that begin names of ours and hardly anybody else's: an unknown name is a mistake. */
const OWN_PREFIXES = [
  'HTTP_',
  'S3_',
  'REDIS_',
  'UPSTREAM_',
  'MIRROR_',
  'SPOOL_',
  'PUSH_',
  'MANIFEST_',
  'METRICS_',
  'RUN_AS_',
  'TRUSTED_',
  'TWINPORT_',
];

/** Words that other programs use as well: only a name close to one of ours is a mistake. */
const SHARED_PREFIXES = [
  'PUBLIC_',
  'ALLOW_',
  'AUTH_',
  'DELETE_',
  'LOG_',
  'STORAGE',
  'DATA',
  'INDEX_',
  'UPLOAD_',
  'SHUTDOWN_',
  'RUN_',
  'SPOOL',
  'MIRROR',
];

/** Known variables of others that begin like ours. */
const FOREIGN =
  /^(?:HTTP_PROXY(?:_.*)?|HTTP_(?:USER_AGENT|HOME|COOKIE|REFERER|ACCEPT.*|FORWARDED)|REDIS_VERSION|REDIS_DOWNLOAD_.*)$/;

/** A name without its unit is nearly right. */
const UNIT = /_(?:SECONDS|BYTES)$/;

const KNOWN = new Set<string>(
  VARIABLE_NAMES.flatMap((name) => (variable(name).isSecret ? [name, `${name}_FILE`] : [name])),
);

/** One warning for each name that looks like one of ours and is none, with the nearest right one. */
export function misspeltNames(names: Iterable<string>): string[] {
  const warnings: string[] = [];
  for (const name of [...names].sort()) {
    const upper = name.toUpperCase();
    if (KNOWN.has(name) || FOREIGN.test(upper)) continue;
    const nearest = nearestName(upper);
    if (isOurs(upper, nearest.distance)) {
      warnings.push(`${name} is not a setting and has no effect. Did you mean ${nearest.name}?`);
    }
  }
  return warnings;
}

function isOurs(name: string, distance: number): boolean {
  if (OWN_PREFIXES.some((prefix) => name.startsWith(prefix))) return true;
  return distance <= 3 && SHARED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

function nearestName(name: string): { name: string; distance: number } {
  let nearest = { name: '', distance: Infinity };
  for (const known of KNOWN) {
    const distance = Math.min(
      editDistance(name, known),
      editDistance(name, known.replace(UNIT, '')) + 1,
    );
    if (distance < nearest.distance) nearest = { name: known, distance };
  }
  return nearest;
}
