import type { RequestListener } from 'node:http';

import type { AccessPolicy } from '../../shared/auth/access.ts';
import type { ManagementParts } from '../../shared/api/management-api.ts';
import type { DeletingMarks } from '../../shared/content/removal/deleting-marks.ts';
import type { RemovalTiming } from '../../shared/content/removal/removal-timing.ts';
import type { Identities } from '../../shared/http/admission.ts';
import type { RegistryIndex } from '../../shared/index/ports.ts';
import type { UsageLedger } from '../../shared/index/usage-ledger.ts';
import type { StoreUsageLedger } from '../../shared/management/quotas/store-usage-ledger.ts';
import type { TokenParts } from '../identities/token-parts.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { AuditLog } from '../../shared/observability/audit-log.ts';
import type { Log, Observer } from '../../shared/observability/observer.ts';
import type { BlobLinks } from '../../shared/storage/blob-links.ts';
import type { BlobStore } from '../../shared/storage/blob-store.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import type { ExternalTokens } from '../identities/external-tokens.ts';
import type { ProjectRights } from '../identities/project-rights.ts';

interface Removal {
  readonly marks: DeletingMarks;
  readonly timing: RemovalTiming;
  /** Also what is being removed. */
  readonly blobs: BlobStore;
  /** Of the store itself. */
  readonly stored: RegistryIndex;
}

/** Where it is counted what projects with a quota take (ProjectQuotas). */
interface Ledgers {
  readonly sharedLedger?: UsageLedger | undefined;
  readonly storeLedger?: StoreUsageLedger | undefined;
}

/** What both roles stand on; made by the composition root from the configuration. */
export interface Platform {
  readonly records: RecordStore;
  readonly blobs: BlobStore;
  /** Set when clients are sent to the store for blobs. */
  readonly links?: BlobLinks | undefined;
  readonly index: RegistryIndex;
  /** For those who remove bytes; what else is here keeps to the other side of the protocol by itself. */
  readonly removal?: Removal | undefined;
  /** Undefined: pushes to projects with a quota are refused. */
  readonly ledgers?: Ledgers | undefined;
  readonly access: AccessPolicy;
  /** Undefined: everybody is anonymous. */
  readonly identities?: Identities | undefined;
  /** Undefined: nobody keeps a record. */
  readonly audit?: AuditLog | undefined;
  /** Set where clients are asked for tokens of our own. */
  readonly tokens?: TokenParts | undefined;
  /** Set where clients are asked for tokens of another issuer. */
  readonly externalTokens?: ExternalTokens | undefined;
  /** Set where rights follow from projects: each role then decides by them instead of `access`. */
  readonly projectRights?: ProjectRights | undefined;
  /** Set where the management API is served. */
  readonly management?: ManagementParts | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly observer: Observer;
  /** Aborts when the process ends: every background task hangs on it. */
  readonly shutdown: AbortSignal;
}

/** A role ready to be served. */
export interface RoleApp {
  readonly app: RequestListener;
  /** Work before the first request: adoption checks, publishing the upstreams, the reaper. Throws to refuse start. */
  start(): Promise<void>;
  /** Named details for /readyz, for example upstreams that do not answer. */
  degraded(): Promise<readonly string[]>;
  /** Stops background work and releases what the role holds; requests are done by then. */
  close(): Promise<void>;
}
