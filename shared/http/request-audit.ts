import type { IncomingMessage } from 'node:http';

import { ANONYMOUS, type Principal } from '../auth/access.ts';
import type { AuditActor, AuditEvent, AuditLog } from '../observability/audit-log.ts';
import type { Operation } from '../observability/observer.ts';
import type { ClientOrigins } from './client-origin.ts';
import type { RequestFacts } from './request-log.ts';

/** What becomes known of a request on its way, beside what is logged of every one. */
export interface RequestTrace {
  principal: Principal;
  /** Of the manifest that was stored. */
  digest?: string | undefined;
}

export const untraced = (): RequestTrace => ({ principal: ANONYMOUS });

/** Puts down who changed content, or tried to without the right. */
export class RequestAudit {
  readonly #audit: AuditLog;
  readonly #origins: ClientOrigins;

  constructor(audit: AuditLog, origins: ClientOrigins) {
    this.#audit = audit;
    this.#origins = origins;
  }

  /** Call it once with the status of the answer, also of one whose client did not wait for it. */
  note(http: IncomingMessage, facts: RequestFacts, trace: RequestTrace, status: number): void {
    const action = actionOf(facts);
    const result = resultOf(status);
    if (!action || (facts.operation === 'uploadStart' && result !== 'denied')) return;
    // The first request of every client, which learns by it how to sign in.
    if (status === 401 && http.headers.authorization === undefined) return;
    const actor = actorOf(trace.principal);
    this.#audit.record({
      action,
      result,
      ...(actor === undefined ? {} : { actor }),
      address: this.#origins.of(http).address,
      ...(facts.repository === undefined ? {} : { repository: facts.repository }),
      ...(facts.reference === undefined ? {} : { reference: facts.reference }),
      ...(trace.digest === undefined ? {} : { digest: trace.digest }),
      status,
    });
  }
}

const ACTIONS: Partial<Record<Operation, AuditEvent['action']>> = {
  manifestPut: 'push',
  // Where a push without the right ends.
  uploadStart: 'push',
  blobDelete: 'delete-blob',
};

function actionOf({ operation, reference }: RequestFacts): AuditEvent['action'] | undefined {
  if (operation !== 'manifestDelete') return ACTIONS[operation];
  return reference?.includes(':') === true ? 'delete-manifest' : 'delete-tag';
}

function resultOf(status: number): AuditEvent['result'] {
  if (status < 400) return 'done';
  return status === 401 || status === 403 || status === 429 ? 'denied' : 'failed';
}

function actorOf(principal: Principal): AuditActor | undefined {
  if (principal.kind === 'anonymous') return undefined;
  if (principal.kind === 'bearer') {
    const { subject, identity } = principal;
    return subject === '' ? undefined : { id: identity?.id ?? subject, name: subject };
  }
  return { id: principal.identity.id, name: principal.identity.name };
}
