import type { Readable } from 'node:stream';

import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';

import type { S3Deadlines } from './s3-deadlines.ts';
import { S3StorageError } from './s3-errors.ts';
import { StoredBody } from './stored-body.ts';
import type { S3Call } from './timed-call.ts';

/** The answer to a GET. The body fails rather than end short; it mends itself where it can. */
export interface OpenObject {
  readonly length: number;
  /** The `Content-Range` of the answer, when the store sent a part. */
  readonly contentRange: string | undefined;
  /** Another one when the object was written anew. */
  readonly version: string;
  readonly stream: StoredBody;
}

interface ObjectAnswer {
  readonly source: Readable;
  readonly length: number;
  readonly contentRange: string | undefined;
  readonly etag: string | undefined;
  readonly version: string;
}

/** Asks the store for an object, or for the part of it that the fields name; 'refused': no byte of that exists. */
export type GetObject = (
  call: S3Call,
  fields: { readonly Range: string | undefined; readonly IfMatch?: string },
) => Promise<GetObjectCommandOutput | 'refused' | undefined>;

/** Opens objects, with bodies that go on where their connection broke. */
export class ObjectReads {
  readonly #get: GetObject;
  readonly #deadlines: S3Deadlines;

  constructor(get: GetObject, deadlines: S3Deadlines) {
    this.#get = get;
    this.#deadlines = deadlines;
  }

  /** Opens an object or a part of it; `range` as in the HTTP header. 'refused': no byte of the range exists. */
  async open(call: S3Call, range: string | undefined): Promise<OpenObject | 'refused' | undefined> {
    const answer = await this.#answer(call, { Range: range });
    if (answer === undefined || answer === 'refused') return answer;
    const { source, length, contentRange, etag, version } = answer;
    const { operation, key, signal } = call;
    const { firstByteMs } = this.#deadlines;
    const idleMs = Math.min(this.#deadlines.idleMs, call.isSmall === true ? firstByteMs : Infinity);
    const first = Number(/^bytes (\d+)-/.exec(contentRange ?? '')?.[1] ?? 0);
    const resume = isStrong(etag)
      ? (received: number) => this.#reopen(call, etag, first + received, first + length - 1)
      : undefined;
    const body = { operation, key, length, idleMs, signal, resume };
    return { length, contentRange, version, stream: new StoredBody(source, body) };
  }

  /** The bytes from `first` to `last` of the object that has this entity tag; anything else is a fault. */
  async #reopen(call: S3Call, etag: string, first: number, last: number): Promise<Readable> {
    const condition = { Range: `bytes=${first}-${last}`, IfMatch: etag };
    const answer = await this.#answer(call, condition);
    if (answer === undefined || answer === 'refused') {
      throw new S3StorageError(call.operation, `${call.key}: gone while it was read`, false);
    }
    const { source, contentRange } = answer;
    if (contentRange?.startsWith(`bytes ${first}-${last}/`) === true) return source;
    source.on('error', () => undefined).destroy();
    throw new S3StorageError(call.operation, `${call.key}: the store sent another range`, false);
  }

  async #answer(
    call: S3Call,
    fields: Parameters<GetObject>[1],
  ): Promise<ObjectAnswer | 'refused' | undefined> {
    const answer = await this.#get(call, fields);
    if (answer === undefined || answer === 'refused') return answer;
    const source = answer.Body as Readable;
    const { ContentLength: length, ContentRange: contentRange, ETag: etag } = answer;
    if (length !== undefined)
      return { source, length, contentRange, etag, version: versionOf(etag, answer.LastModified) };
    source.on('error', () => undefined).destroy();
    throw new S3StorageError(call.operation, `${call.key}: an answer without a length`, true);
  }
}

/** Tells one writing of an object from another. */
export const versionOf = (etag: string | undefined, modifiedAt: Date | undefined): string =>
  `${etag ?? ''} ${modifiedAt?.getTime() ?? ''}`;

/** Only a strong entity tag promises the same bytes. */
const isStrong = (etag: string | undefined): etag is string => etag?.startsWith('"') === true;
