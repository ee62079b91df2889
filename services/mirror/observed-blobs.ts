import type { BlobRedirect } from '../../shared/content/content-source.ts';
import type { Observer, ProxyOutcome } from '../../shared/observability/observer.ts';
import type { BlobBody } from '../../shared/storage/blob-store.ts';
import type { BlobRequest } from './blob-fills.ts';
import type { BlobFill } from './fill/blob-fill.ts';
import type { SpoolReader } from './fill/spool-reader.ts';
import { servedFrom } from './served-from.ts';

interface MovedBytes {
  /** From the upstream. */
  readonly bytesPulled: number;
  /** To the client. */
  readonly bytesPushed: number;
}

/** Tells how blobs were served: to the client in a header, and to whoever counts. */
export class ObservedBlobs {
  readonly #observer: Observer;

  constructor(observer: Observer) {
    this.#observer = observer;
  }

  /** Of a client that is sent to the store the bytes are not counted: nobody here sees them. */
  hit<Held extends BlobBody | BlobRedirect>(request: BlobRequest, body: Held): Held {
    const bytesPushed = 'url' in body ? 0 : body.length;
    this.#note(request, 'hit');
    this.#observe(request, 'hit', { bytesPulled: 0, bytesPushed });
    return body;
  }

  bypass(request: BlobRequest, bytes: MovedBytes): void {
    this.#note(request, 'bypass');
    this.#observe(request, 'bypass', bytes);
  }

  /**
   * One observation a request, when its stream and, for the one that began it, the fill are over. Who began a fill that
   * follows the one of another process has joined that.
   */
  follower(
    request: BlobRequest,
    stream: SpoolReader,
    { fill, isFirst }: { readonly fill: BlobFill; readonly isFirst: boolean },
  ): void {
    const outcome = isFirst && fill.isLeading ? 'miss' : 'join';
    this.#note(request, outcome);
    stream.once('close', () => {
      const observe = (): void => {
        const bytesPulled = isFirst ? fill.pulledBytes : 0;
        this.#observe(request, outcome, { bytesPulled, bytesPushed: stream.deliveredBytes });
      };
      if (isFirst) void fill.finished.then(observe);
      else observe();
    });
  }

  #note({ repository }: BlobRequest, outcome: ProxyOutcome): void {
    repository.trace?.note(servedFrom(repository, outcome));
  }

  /** What nobody asked for is no pull, but its bytes came all the same. */
  #observe(
    { repository }: BlobRequest,
    outcome: ProxyOutcome,
    { bytesPulled, bytesPushed }: MovedBytes,
  ): void {
    const upstream = repository.upstream.project;
    this.#observer.proxy(
      repository.isBackground
        ? { upstream, kind: 'blob', outcome: 'background', bytesPulled }
        : { upstream, kind: 'blob', outcome, bytesPulled, bytesPushed },
    );
  }
}
