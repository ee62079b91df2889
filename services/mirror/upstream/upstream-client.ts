import type { Readable } from 'node:stream';

import type { VerifiedManifest } from '../../../shared/content/manifest-store.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { type Digest, parseDigest } from '../../../shared/oci/digest.ts';
import { MANIFEST_ACCEPT, MANIFEST_MAX_BYTES } from '../../../shared/oci/media-types.ts';
import type { ManifestReference, RepositoryName, Tag } from '../../../shared/oci/reference.ts';
import { isHtml, isUnknownName, isUntoldAbsence, readFailure } from './answer.ts';
import { AuthorizedExchange, type AuthorizedExchangeOptions } from './authorized-exchange.ts';
import { contentLength, contentRange } from './content-headers.ts';
import { type ExchangeResponse, readBody } from './http-exchange.ts';
import {
  type Failure,
  found,
  NOT_FOUND,
  type Outcome,
  unavailable,
  UpstreamFault,
} from './outcome.ts';
import { parseQuota, type Quota } from './quota.ts';
import { readManifest } from './read-manifest.ts';
import { readReferrers, type UpstreamReferrers } from './read-referrers.ts';
import { readTagPage } from './tag-page.ts';

/** What a HEAD tells of a manifest, as far as the upstream says it. */
export interface UpstreamManifestStat {
  readonly digest: Digest | undefined;
}

/** An open blob. Whoever asked reads the body to its end or destroys it. */
export interface UpstreamBlob {
  readonly totalBytes: number;
  /** First byte of the body: what was asked for, or 0 where the upstream does not know ranges. */
  readonly offset: number;
  readonly body: Readable;
}

/** Clients give up on headers after 30 s (containerd): headers of blobs, and all of what is small, must be here before. */
const ANSWER_DEADLINE_MS = 25_000;
const MAX_TAG_PAGES = 100;
/** Of all pages of a list of tags together. */
const MAX_TAG_LIST_BYTES = 16 * 1024 * 1024;

export interface UpstreamClientOptions extends AuthorizedExchangeOptions {
  /** Told what came of each question. */
  readonly onOutcome: (outcome: Outcome<unknown>) => void;
  /** Told what the upstream says of its budget of pulls. */
  readonly onQuota?: (quota: Quota) => void;
}

interface Ask {
  readonly method: 'GET' | 'HEAD';
  readonly repository: RepositoryName;
  /** Below `/v2/<repository>/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly followsRedirects?: boolean;
  readonly isBlob?: boolean;
}

/**
 * Reads one upstream as one identity. Answers are outcomes, never exceptions: a promise rejects only with the reason of
 * the caller's `signal`. The host that is spoken to is the configured one; redirects and realms are held to the rules
 * of http-exchange.ts and realm-policy.ts.
 */
export class UpstreamClient {
  readonly #exchange: AuthorizedExchange;
  readonly #upstream: URL;
  readonly #clock: Clock;
  readonly #onOutcome: (outcome: Outcome<unknown>) => void;
  readonly #onQuota: ((quota: Quota) => void) | undefined;

  constructor(options: UpstreamClientOptions) {
    this.#exchange = new AuthorizedExchange(options);
    this.#upstream = options.upstream;
    this.#clock = options.clock;
    this.#onOutcome = options.onOutcome;
    this.#onQuota = options.onQuota;
  }

  /**
   * Costs nothing of Docker Hub's pull budget. Falls back to a GET where HEAD is not known (GitHub Packages: 405), and
   * where a 404 may be somebody else's than the registry's.
   */
  async headManifest(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<Outcome<UpstreamManifestStat>> {
    const ask: Ask = {
      method: 'HEAD',
      repository,
      path: manifestPath(reference),
      headers: { accept: MANIFEST_ACCEPT },
    };
    const outcome = await this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      const answer = await this.#ask(ask, bounded);
      if (answer.kind !== 'found') return answer;
      const { value: response } = answer;
      const isUnsupported = response.status === 405 || response.status === 501;
      if (isUnsupported || isUntoldAbsence(response)) {
        response.discard();
        return 'unclear' as const;
      }
      if (response.status !== 200) return this.#failure(response);
      response.discard();
      if (isHtml(response)) return this.#garbage('a web page instead of a manifest');
      return found({ digest: parseDigest(response.header('docker-content-digest') ?? '') });
    });
    if (outcome !== 'unclear') return outcome;
    const got = await this.getManifest(repository, reference, signal);
    return got.kind === 'found' ? found({ digest: got.value.digest }) : got;
  }

  /** The manifest with the digest of the very bytes; asked by digest it has that digest. */
  getManifest(
    repository: RepositoryName,
    reference: ManifestReference,
    signal: AbortSignal,
  ): Promise<Outcome<VerifiedManifest>> {
    const ask: Ask = {
      method: 'GET',
      repository,
      path: manifestPath(reference),
      headers: { accept: MANIFEST_ACCEPT },
    };
    return this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      const answer = await this.#ask(ask, bounded);
      if (answer.kind !== 'found') return answer;
      const { value: response } = answer;
      if (response.status !== 200) return this.#failure(response, true);
      if (isHtml(response)) {
        response.discard();
        return this.#garbage('a web page instead of a manifest');
      }
      const bytes = await readBody(response.body, MANIFEST_MAX_BYTES, response.url);
      if (!bytes) return this.#garbage('a manifest of more than 4 MiB');
      return readManifest(bytes, response.header('content-type'), reference, this.#upstream.host);
    });
  }

  /** Size in bytes of the blob. A HEAD that is redirected is asked as a GET of one byte: signed URLs are for GET alone. */
  headBlob(
    repository: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Outcome<{ readonly size: number }>> {
    const path = `blobs/${digest}`;
    return this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      const head: Ask = { method: 'HEAD', repository, path, followsRedirects: false };
      const answer = await this.#ask(head, bounded);
      if (answer.kind !== 'found') return answer;
      const { value: response } = answer;
      const { status } = response;
      const size = contentLength(response);
      if (status === 200 && size !== undefined) {
        response.discard();
        return isHtml(response) ? this.#garbage('a web page instead of a blob') : found({ size });
      }
      const isElsewhere = status >= 300 && status < 400;
      const isUnclear = status === 200 || status === 405 || isUntoldAbsence(response);
      if (!isElsewhere && !isUnclear) return this.#failure(response);
      response.discard();
      const opened = await this.#openBlob({ repository, path, range: 'bytes=0-0' }, bounded);
      if (opened.kind !== 'found') return opened;
      opened.value.body.on('error', () => undefined).destroy();
      return found({ size: opened.value.totalBytes });
    });
  }

  /** The blob from a byte on. A body that breaks off is for the caller to continue, by asking again from there. */
  openBlob(
    repository: RepositoryName,
    digest: Digest,
    fromByte: number,
    signal: AbortSignal,
  ): Promise<Outcome<UpstreamBlob>> {
    const path = `blobs/${digest}`;
    const range = fromByte > 0 ? `bytes=${fromByte}-` : undefined;
    return this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      const opened = await this.#openBlob({ repository, path, range }, bounded);
      if (opened.kind !== 'found') return opened;
      const { offset, body } = opened.value;
      if (offset === 0 || offset === fromByte) return opened;
      body.on('error', () => undefined).destroy();
      return this.#garbage('another range than was asked for');
    });
  }

  /** All tags, in the upstream's order. */
  tagList(repository: RepositoryName, signal: AbortSignal): Promise<Outcome<Tag[]>> {
    return this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      let tags: Tag[] = [];
      let bytes = 0;
      let path: string | undefined = 'tags/list?n=1000';
      for (let page = 0; path !== undefined; page += 1) {
        if (page === MAX_TAG_PAGES)
          return this.#garbage(`more than ${MAX_TAG_PAGES} pages of tags`);
        const answer: Outcome<ExchangeResponse> = await this.#ask(
          { method: 'GET', repository, path },
          bounded,
        );
        if (answer.kind !== 'found') return answer;
        if (answer.value.status !== 200) return this.#failure(answer.value);
        const next = await readTagPage(answer.value);
        if (!next) return this.#garbage('a list of tags that cannot be read');
        bytes += next.bytes;
        if (bytes > MAX_TAG_LIST_BYTES) return this.#garbage('a list of tags that is too long');
        tags = tags.concat(next.tags);
        path = next.query === undefined ? undefined : `tags/list?${next.query}`;
      }
      return found(tags);
    });
  }

  /**
   * Whether the upstream knows a repository of this name and lets us read it: by its list of tags. `not-found` is the
   * upstream's own word (NAME_UNKNOWN); a registry that has no such lists says nothing.
   */
  findRepository(repository: RepositoryName, signal: AbortSignal): Promise<Outcome<undefined>> {
    const ask: Ask = { method: 'GET', repository, path: 'tags/list?n=1' };
    return this.#bounded(ANSWER_DEADLINE_MS, signal, async (bounded) => {
      const answer = await this.#ask(ask, bounded);
      if (answer.kind !== 'found') return answer;
      const { value: response } = answer;
      if (response.status === 200) {
        return (await readTagPage(response)) ? found(undefined) : this.#garbage('no list of tags');
      }
      if (response.status !== 404) return this.#failure(response);
      return (await isUnknownName(response)) ? NOT_FOUND : this.#garbage('no list of tags');
    });
  }

  /** What refers to the subject, as far as it is read (read-referrers.ts). */
  referrers(
    repository: RepositoryName,
    subject: Digest,
    signal: AbortSignal,
  ): Promise<Outcome<UpstreamReferrers>> {
    const headers = { accept: MANIFEST_ACCEPT };
    return this.#bounded(ANSWER_DEADLINE_MS, signal, (bounded) =>
      readReferrers(subject, {
        ask: (path) => this.#ask({ method: 'GET', repository, path, headers }, bounded),
        failure: (response) => this.#failure(response),
      }),
    );
  }

  async #openBlob(
    request: { repository: RepositoryName; path: string; range: string | undefined },
    signal: AbortSignal,
  ): Promise<Outcome<UpstreamBlob>> {
    const { repository, path, range } = request;
    const headers = range === undefined ? {} : { range };
    const ask: Ask = { method: 'GET', repository, path, headers, isBlob: true };
    const answer = await this.#ask(ask, signal);
    if (answer.kind !== 'found') return answer;
    const { value: response } = answer;
    const { status, body } = response;
    if (status !== 200 && status !== 206) return this.#failure(response);
    const length = contentLength(response);
    const part = status === 206 ? contentRange(response) : { offset: 0, totalBytes: length };
    if (part?.totalBytes !== undefined && !isHtml(response)) {
      return found({ totalBytes: part.totalBytes, offset: part.offset, body });
    }
    response.discard();
    return this.#garbage('something that is no blob, or has no length');
  }

  async #ask(ask: Ask, signal: AbortSignal): Promise<Outcome<ExchangeResponse>> {
    const { repository, path, headers = {}, followsRedirects = true } = ask;
    const url = new URL(`v2/${repository}/${path}`, this.#upstream);
    const request = { ...ask, url, headers, followsRedirects };
    const answer = await this.#exchange.send(request, repository, signal);
    if (answer.kind === 'found' && answer.value.url.origin === this.#upstream.origin) {
      const quota = parseQuota((name) => answer.value.header(name));
      if (quota) this.#onQuota?.(quota);
    }
    return answer;
  }

  #failure(response: ExchangeResponse, isPull = false): ReturnType<typeof readFailure> {
    return readFailure(response, this.#upstream, this.#clock.now(), isPull);
  }

  #garbage(what: string): Failure {
    return unavailable('garbage', `${this.#upstream.host} gave ${what}`);
  }

  /** Runs the work with a deadline that ends with it; an open body stays under the caller's signal. */
  async #bounded<Value extends Outcome<unknown> | 'unclear'>(
    deadlineMs: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value | Failure> {
    signal.throwIfAborted();
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      deadline.abort(new UpstreamFault('timeout', `${this.#upstream.host} did not answer in time`));
    }, deadlineMs);
    try {
      const outcome = await work(AbortSignal.any([signal, deadline.signal]));
      if (outcome !== 'unclear') this.#onOutcome(outcome);
      return outcome;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UpstreamFault)) throw error;
      const outcome = unavailable(error.reason, error.message);
      this.#onOutcome(outcome);
      return outcome;
    } finally {
      clearTimeout(timer);
    }
  }
}

const manifestPath = (reference: ManifestReference): string =>
  `manifests/${reference.kind === 'tag' ? reference.tag : reference.digest}`;
