import type { ManagedIdentities } from '../../shared/api/management-api.ts';
import type { AccessPolicy } from '../../shared/auth/access.ts';
import type { Identities } from '../../shared/http/admission.ts';
import type { Leases, SharedHints } from '../../shared/index/ports.ts';
import type { Clock } from '../../shared/lifecycle/clock.ts';
import type { AuditLog } from '../../shared/observability/audit-log.ts';
import type { Log, Role } from '../../shared/observability/observer.ts';
import type { ExclusiveRecords } from '../../shared/storage/exclusive-records.ts';
import type { RecordStore } from '../../shared/storage/record-store.ts';
import type { ExternalTokens } from './external-tokens.ts';
import type { ProjectRights } from './project-rights.ts';
import type { TokenParts } from './token-parts.ts';

/** Who may do what, as the configuration says. */
export interface OpenIdentities {
  readonly access: AccessPolicy;
  /** Undefined: everybody is anonymous. */
  readonly identities: Identities | undefined;
  /** Set where clients are asked for tokens of our own. */
  readonly tokens: TokenParts | undefined;
  /** Set where clients are asked for tokens of another issuer. */
  readonly externalTokens?: ExternalTokens;
  /** Set where rights follow from projects. */
  readonly projectRights?: ProjectRights;
  /** What the management API knows of them; undefined: nothing beside who they are. */
  readonly managed?: ManagedIdentities;
}

export interface IdentitiesOptions {
  /** Of the process, the push service where it is both. */
  readonly role: Role;
  readonly records: RecordStore;
  readonly exclusive: ExclusiveRecords;
  readonly clock: Clock;
  readonly log: Log;
  /** Among all processes over the store where that is possible: what is known of those who guess passwords. */
  readonly shared: { readonly hints: SharedHints; readonly leases: Leases };
  /** Undefined: nobody keeps a record. */
  readonly audit: AuditLog | undefined;
  /** Tells the operator what is no line of the log: it is kept nowhere. */
  readonly announce: (text: string) => void;
  /** As browsers reach this service, when it is the push service; undefined: nobody signs in with one. */
  readonly publicUrl?: string | undefined;
  /** Ends what runs beside requests. */
  readonly lifetime: AbortSignal;
}
