import { readFile } from 'node:fs/promises';
import { isIP, type OnReadOpts, type Socket } from 'node:net';
import { type ConnectionOptions, getCACertificates } from 'node:tls';

import { type Dispatcher, EnvHttpProxyAgent } from 'undici';

import type { ProxyConfig } from '../../../shared/config/config.ts';
import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import { AddressGuard } from './address-guard.ts';
import { BodyConnections, type OpenAnswer } from './body-connections.ts';
import { DEFAULT_DEADLINES, type ExchangeDeadlines } from './exchange-deadlines.ts';
import {
  forbiddenAddress,
  guardedConnector,
  type LookupAll,
  openGuarded,
} from './guarded-connector.ts';
import { UpstreamFault } from './outcome.ts';

/** A registry sends some hundred bytes of headers, a CDN a few thousand. */
const MAX_HEADER_BYTES = 32 * 1024;
/** Certificates in files are looked at this often. */
const TLS_REREAD_MS = 10_000;

export interface UpstreamTransportOptions {
  readonly upstream: Pick<
    UpstreamConfig,
    | 'url'
    | 'authHosts'
    | 'caFile'
    | 'clientCertificateFile'
    | 'clientKeyFile'
    | 'insecure'
    | 'proxyUrl'
    | 'maxConnections'
    | 'isGuarded'
  >;
  readonly clock: Clock;
  /** What the environment says of proxies; counts where the upstream says nothing of its own. */
  readonly proxies?: ProxyConfig;
  readonly deadlines?: ExchangeDeadlines;
  readonly guard?: AddressGuard;
  readonly lookup?: LookupAll;
}

interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

interface Connections {
  readonly dispatcher: Dispatcher;
  /** For blobs, where that may be. */
  readonly bodies: BodyConnections | undefined;
}

interface Dispatchers {
  readonly files: TlsFiles;
  /** To the upstream itself and the hosts that are configured for its tokens. */
  readonly own: Connections;
  /** To hosts that only the upstream named: without its client certificate, and always with a certificate's check. */
  readonly other: Connections;
}

/** One request, which is followed nowhere. */
export interface TransportRequest {
  readonly url: URL;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly isBlob: boolean;
}

/** Connections on behalf of one upstream, by its settings. Certificates in files are taken up when they change. */
export class UpstreamTransport {
  readonly #options: UpstreamTransportOptions;
  readonly #guard: AddressGuard;
  readonly #ownHosts: ReadonlySet<string>;
  readonly #trustedOrigins: ReadonlySet<string>;
  readonly #mayBeProxied: boolean;
  readonly #origin: string;
  /** It does not lead to others for its blobs. */
  #hasOwnBlobs = false;
  #dispatchers: Promise<Dispatchers> | undefined;
  #readAtMs = -Infinity;

  constructor(options: UpstreamTransportOptions) {
    const { hostname, origin } = new URL(options.upstream.url);
    const { upstream, proxies } = options;
    this.#options = options;
    this.#origin = origin;
    this.#trustedOrigins = new Set([
      ...(upstream.isGuarded === true ? [] : [origin]),
      ...upstream.authHosts.map((host) => new URL(`https://${host}`).origin),
    ]);
    this.#mayBeProxied = (upstream.proxyUrl ?? proxies?.http ?? proxies?.https) !== undefined;
    this.#guard = options.guard ?? new AddressGuard();
    this.#ownHosts = new Set([
      hostname,
      ...upstream.authHosts.map((host) => new URL(`https://${host}`).hostname),
    ]);
  }

  /**
   * One answer, whatever its status. `isBlob`: its body is worth a connection of its own, from everybody but an upstream
   * that leads to others for its blobs as far as is known; that has a connection from before.
   */
  async request(
    { url, method, headers, isBlob }: TransportRequest,
    signal: AbortSignal,
  ): Promise<OpenAnswer> {
    // Through a proxy no connection is made from here: what the URL spells out is all that can be checked.
    const literal = url.hostname.replace(/^\[|\]$/g, '');
    const isNamed = isIP(literal) !== 0 && !this.#trustedOrigins.has(url.origin);
    if (this.#mayBeProxied && isNamed && !this.#guard.allows(literal)) {
      throw forbiddenAddress(literal);
    }
    const { own, other } = await this.#current();
    const { dispatcher, bodies } = this.#ownHosts.has(url.hostname) ? own : other;
    const isOwn = url.origin === this.#origin;
    if (isBlob && bodies && (!isOwn || this.#hasOwnBlobs)) return bodies.get(url, headers, signal);
    const path = `${url.pathname}${url.search}`;
    const answer = await dispatcher.request({ origin: url.origin, path, method, headers, signal });
    const { statusCode: status, body } = answer;
    if (isBlob && isOwn && status === 200) this.#hasOwnBlobs = true;
    return { status, headers: answer.headers, body };
  }

  /** Ends every connection, also those in use. */
  async close(): Promise<void> {
    const dispatchers = await this.#dispatchers?.catch(() => undefined);
    const both = dispatchers ? [dispatchers.own, dispatchers.other] : [];
    for (const { bodies } of both) bodies?.destroy();
    await Promise.all(both.map(({ dispatcher }) => dispatcher.destroy()));
  }

  #current(): Promise<Dispatchers> {
    const { clock, upstream } = this.#options;
    const nowMs = clock.monotonicMs();
    const hasFiles = upstream.caFile ?? upstream.clientCertificateFile;
    const isDue = hasFiles !== undefined && nowMs - this.#readAtMs >= TLS_REREAD_MS;
    if (this.#dispatchers && !isDue) return this.#dispatchers;
    this.#readAtMs = nowMs;
    const before = this.#dispatchers;
    const next = this.#renew(before);
    this.#dispatchers = next;
    // What cannot be read now is tried again by the next request.
    next.catch(() => {
      if (this.#dispatchers === next) this.#dispatchers = undefined;
    });
    return next;
  }

  async #renew(before: Promise<Dispatchers> | undefined): Promise<Dispatchers> {
    const current = await before?.catch(() => undefined);
    let files: TlsFiles;
    try {
      files = await this.#readFiles();
    } catch (error) {
      if (current) return current;
      const host = new URL(this.#options.upstream.url).host;
      throw new UpstreamFault('connection', `a certificate for ${host} cannot be read`, error);
    }
    if (current && isSame(current.files, files)) return current;
    // Requests under way end on the connections that they have.
    for (const { dispatcher, bodies } of current ? [current.own, current.other] : []) {
      void dispatcher.close();
      bodies?.closeIdle();
    }
    const { ca: extra, cert, key } = files;
    const ca = extra === undefined ? undefined : [...getCACertificates('default'), extra];
    const anybody: ConnectionOptions = { ...(ca && { ca }) };
    const itself: ConnectionOptions = {
      ...anybody,
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(this.#options.upstream.insecure && { rejectUnauthorized: false }),
    };
    return { files, own: this.#connections(itself), other: this.#connections(anybody) };
  }

  async #readFiles(): Promise<TlsFiles> {
    const { caFile, clientCertificateFile, clientKeyFile } = this.#options.upstream;
    const read = (path: string | undefined): Promise<string> | undefined =>
      path === undefined ? undefined : readFile(path, 'utf8');
    const [ca, cert, key] = await Promise.all([
      read(caFile),
      read(clientCertificateFile),
      read(clientKeyFile),
    ]);
    return { ca, cert, key };
  }

  #connections(tls: ConnectionOptions): Connections {
    const { upstream, deadlines = DEFAULT_DEADLINES, proxies, lookup } = this.#options;
    const { proxyUrl, maxConnections } = upstream;
    const guarded = {
      guard: this.#guard,
      ownOrigin: this.#origin,
      trustedOrigins: this.#trustedOrigins,
      timeoutMs: deadlines.connectMs,
      tls,
      ...(lookup && { lookup }),
    };
    const dispatcher = new EnvHttpProxyAgent({
      // Empty: none; the process's environment is read by the configuration alone.
      httpProxy: proxyUrl ?? proxies?.http ?? '',
      httpsProxy: proxyUrl ?? proxies?.https ?? '',
      noProxy: proxyUrl === undefined ? (proxies?.exceptions ?? '') : '',
      // Blobs of many megabytes go faster over connections of their own than through the windows of one h2 session.
      allowH2: false,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: deadlines.headersMs,
      bodyTimeout: deadlines.idleMs,
      connectTimeout: deadlines.connectMs,
      connections: maxConnections ?? null,
      requestTls: tls as object,
      connect: guardedConnector(guarded),
    });
    // Proxies, and a limit for all connections together, are the agent's.
    const isPlain = !this.#mayBeProxied && maxConnections === undefined;
    const open = (url: URL, onread: OnReadOpts): Socket => openGuarded(guarded, url, onread);
    return { dispatcher, bodies: isPlain ? new BodyConnections(open, deadlines) : undefined };
  }
}

const isSame = (a: TlsFiles, b: TlsFiles): boolean =>
  a.ca === b.ca && a.cert === b.cert && a.key === b.key;
