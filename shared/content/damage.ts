import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from '../oci/reference.ts';
import type { Log, Observer } from '../observability/observer.ts';
import type { DeletingMarks } from './removal/deleting-marks.ts';

/** What the store says it has and does not. */
interface Damage {
  readonly kind: 'blob-missing' | 'blob-damaged' | 'manifest-missing' | 'manifest-damaged';
  /** Undefined for the bytes of a blob, which may belong to several. */
  readonly repository?: RepositoryName;
  readonly digest: Digest;
}

export type ReportDamage = (damage: Damage) => void;

const MESSAGES: Readonly<Record<Damage['kind'], string>> = {
  'blob-missing':
    'the store has lost a blob that belongs to a repository: pushing it again heals it',
  'blob-damaged': 'the stored bytes of a blob are damaged: pushing it again heals it',
  'manifest-missing':
    'the store has lost a manifest that belongs to a repository: pushing it again heals it',
  'manifest-damaged': 'the stored bytes of a manifest are damaged: pushing it again heals it',
};

/** Clients are told that the content is not there, so that they push it again; operators are told by log and metric. */
export function damageReporter({
  log,
  observer,
  removal,
}: {
  readonly log: Log;
  readonly observer: Observer;
  readonly removal?: { readonly marks: DeletingMarks } | undefined;
}): ReportDamage {
  return ({ kind, repository, digest }) => {
    // Not lost, but on its way out, or about to stay.
    if (removal?.marks.isKnownMarked(digest) === true) return;
    observer.damage(kind);
    log.error({ operation: 'store.damage', repository, reference: digest }, MESSAGES[kind]);
  };
}
