import { LRUCache } from 'lru-cache';

import type { UploadId } from '../../oci/reference.ts';
import type { UploadSession } from '../upload-store.ts';
import type { OpenUpload } from './upload-record.ts';

/** Memory for all sessions together. */
const MAX_BYTES = 32 * 1024 * 1024;
const TTL_MS = 60_000;
/** About what a session and one of its parts take besides bytes of a blob. */
const SESSION_BYTES = 1024;
const PART_BYTES = 128;

/** Where an open session stands. */
export interface OpenSession {
  readonly state: OpenUpload;
  /** Of the record that says so; 0: there is none yet. */
  readonly generation: number;
  /** The bytes in memory are those that this process hashed for the digest; what was read back is hashed again. */
  readonly isOwn: boolean;
}

/** A session as this process left it. */
interface LeftSession extends OpenSession {
  readonly session: Pick<UploadSession, 'id' | 'repository' | 'startedAt'>;
}

/**
 * Sessions as this process left them not long ago, with the bytes that stand in their records, so that the request that
 * usually follows need not read them back. Others may have gone on with them: whoever takes one asks the store.
 */
export class OpenSessions {
  readonly #sessions = new LRUCache<UploadId, LeftSession>({
    max: 10_000,
    maxSize: MAX_BYTES,
    ttl: TTL_MS,
    sizeCalculation: ({ state }) => {
      const parts = state.segments.reduce((sum, segment) => sum + segment.parts.length, 0);
      const held = state.tail.rest.buffer.byteLength + PART_BYTES * state.tail.pieces.length;
      return SESSION_BYTES + PART_BYTES * parts + held;
    },
  });

  /** Hands the session over: whoever takes it puts it back or lets it go. */
  take(id: UploadId): LeftSession | undefined {
    const found = this.#sessions.get(id);
    this.#sessions.delete(id);
    return found;
  }

  put(left: LeftSession): void {
    this.#sessions.set(left.session.id, left);
  }

  drop(id: UploadId): void {
    this.#sessions.delete(id);
  }
}
