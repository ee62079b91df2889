import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

import { freePort } from './free-port.ts';
import { type FixtureImage, type FixtureIndex, MEDIA_TYPES } from './oci-fixtures.ts';

/** One request that the upstream or its token service saw. */
interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly acceptEncoding: string | undefined;
}

interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

interface FakeRepository {
  readonly manifests: Map<string, StoredManifest>;
  readonly blobs: Map<string, Buffer>;
}

interface BlobPause {
  readonly atByte: number;
  readonly until: Promise<unknown>;
}

/** What the upstream does wrong or differently from now on. */
interface FakeBehaviour {
  /** Wants a Bearer token for everything. */
  wantsToken: boolean;
  /** Named as realm in the challenge instead of its own token service. */
  realm: string | undefined;
  /** Whose tokens may read private repositories. */
  account: { username: string; password: string } | undefined;
  /** Further accounts, name to password; their tokens read what anybody may. */
  otherAccounts: Map<string, string>;
  /** Repositories that only the account may read. */
  privateRepositories: Set<string>;
  /** Private repositories are answered 404 NAME_UNKNOWN, as if there were none. */
  hidesPrivate: boolean;
  /** Pulls left, by account (`anybody` for none), out of 100 in six hours; told in Docker Hub's headers. */
  pullsLeft: Map<string, number>;
  tokenLifeSeconds: number | undefined;
  tokenStatus: number | undefined;
  /** Answers every request so. */
  status: { code: number; headers?: Record<string, string>; body?: string } | undefined;
  /** Sends a web page with 200 for everything. */
  isGallery: boolean;
  /** Of a blob's body only so many bytes come before the connection breaks, as often as `times` says. */
  cutBlob: { atByte: number; times: number } | undefined;
  /** Turns one bit of every blob and manifest body. */
  flipsBit: boolean;
  /** Sent as Docker-Content-Digest whatever the bytes. */
  digestHeader: string | undefined;
  /** Blobs are redirected to this origin (the path is kept). */
  redirectBlobsTo: string | undefined;
  /** A blob's body stops after so many of the blob's bytes until the promise resolves, at each in their order. */
  blobPauses: readonly BlobPause[];
  /** Lists referrers by the API, so many on a page; undefined: it has no such API. */
  referrersPerPage: number | undefined;
  /** Does not answer before the promise resolves. */
  hold: Promise<unknown> | undefined;
  /** Told of each request before it is answered. */
  onRequest: ((request: SeenRequest) => void) | undefined;
  /** Sent with every answer. */
  headers: Readonly<Record<string, string>>;
}

export interface FakeUpstream {
  readonly url: string;
  readonly behaviour: FakeBehaviour;
  readonly seen: readonly SeenRequest[];
  /** How often `GET /v2/…` (no query) came. */
  count(method: string, path: string): number;
  forget(): void;
  addImage(repository: string, tag: string, image: FixtureImage): void;
  /** The index and its children. */
  addIndex(repository: string, tag: string, index: FixtureIndex): void;
  addBlob(repository: string, digest: string, bytes: Buffer): void;
  removeTag(repository: string, tag: string): void;
  /** Refuses connections. */
  goDown(): Promise<void>;
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

/** A registry to read from that misbehaves on demand. */
export async function startFakeUpstream(): Promise<FakeUpstream> {
  // One that nobody else gets while it is down.
  const upstream = new ScriptedUpstream(await freePort());
  await upstream.comeBack();
  return upstream;
}

class ScriptedUpstream implements FakeUpstream {
  readonly behaviour: FakeBehaviour = {
    wantsToken: false,
    realm: undefined,
    account: undefined,
    otherAccounts: new Map(),
    privateRepositories: new Set(),
    hidesPrivate: false,
    pullsLeft: new Map(),
    tokenLifeSeconds: 300,
    tokenStatus: undefined,
    status: undefined,
    isGallery: false,
    cutBlob: undefined,
    flipsBit: false,
    digestHeader: undefined,
    redirectBlobsTo: undefined,
    blobPauses: [],
    referrersPerPage: 100,
    hold: undefined,
    onRequest: undefined,
    headers: {},
  };
  readonly seen: SeenRequest[] = [];
  readonly #repositories = new Map<string, FakeRepository>();
  #server: Server | undefined;
  readonly #port: number;
  #issued = 0;

  constructor(port: number) {
    this.#port = port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  count(method: string, path: string): number {
    return this.seen.filter((request) => request.method === method && request.path === path).length;
  }

  forget(): void {
    this.seen.length = 0;
  }

  addImage(repository: string, tag: string, image: FixtureImage): void {
    const { manifests } = this.#repository(repository);
    const { bytes, mediaType, digest } = image.manifest;
    manifests.set(digest, { bytes, mediaType });
    manifests.set(tag, { bytes, mediaType });
    for (const blob of image.blobs) this.addBlob(repository, blob.digest, blob.bytes);
  }

  addIndex(repository: string, tag: string, index: FixtureIndex): void {
    for (const image of index.images) this.addImage(repository, image.manifest.digest, image);
    this.addImage(repository, tag, { manifest: index.manifest, blobs: [] });
  }

  addBlob(repository: string, digest: string, bytes: Buffer): void {
    this.#repository(repository).blobs.set(digest, bytes);
  }

  removeTag(repository: string, tag: string): void {
    this.#repository(repository).manifests.delete(tag);
  }

  async goDown(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  async comeBack(): Promise<void> {
    const server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#server = server;
  }

  stop(): Promise<void> {
    return this.goDown();
  }

  #repository(name: string): FakeRepository {
    let repository = this.#repositories.get(name);
    if (!repository) {
      repository = { manifests: new Map(), blobs: new Map() };
      this.#repositories.set(name, repository);
    }
    return repository;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const seen: SeenRequest = {
      method: request.method ?? '',
      path: pathname,
      query: searchParams,
      authorization: request.headers.authorization,
      range: request.headers.range,
      acceptEncoding: request.headers['accept-encoding']?.toString(),
    };
    this.seen.push(seen);
    const { behaviour } = this;
    await behaviour.hold;
    behaviour.onRequest?.(seen);
    for (const [name, value] of Object.entries(behaviour.headers)) response.setHeader(name, value);
    if (behaviour.status) {
      const { code, headers = {}, body = '' } = behaviour.status;
      response.writeHead(code, headers).end(body);
    } else if (behaviour.isGallery) {
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<h1>Cats</h1>');
    } else if (pathname === '/token') {
      this.#issueToken(seen, response);
    } else if (this.#isAllowed(seen, response)) {
      await this.#serveContent(seen, response);
    }
  }

  #issueToken({ authorization, query }: SeenRequest, response: ServerResponse): void {
    const { account, otherAccounts, tokenStatus, tokenLifeSeconds } = this.behaviour;
    const isBy = (username: string, password: string): boolean =>
      authorization === `Basic ${btoa(`${username}:${password}`)}`;
    const isAccount = account !== undefined && isBy(account.username, account.password);
    const other = [...otherAccounts].find(([username, password]) => isBy(username, password))?.[0];
    const isKnown = isAccount || other !== undefined;
    if (tokenStatus !== undefined) sendError(response, tokenStatus, 'DENIED');
    else if (authorization !== undefined && !isKnown) sendError(response, 401, 'UNAUTHORIZED');
    else {
      this.#issued += 1;
      const who = isAccount ? 'account' : (other ?? 'anybody');
      const token = `${who}/${query.get('scope') ?? ''}/${this.#issued}`;
      sendJson(response, 200, { token, expires_in: tokenLifeSeconds });
    }
  }

  #isAllowed({ path, authorization }: SeenRequest, response: ServerResponse): boolean {
    const { wantsToken, privateRepositories, hidesPrivate, realm } = this.behaviour;
    if (!wantsToken) return true;
    const repository = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path)?.[1] ?? '';
    const scope = `repository:${repository}:pull`;
    const isPrivate = privateRepositories.has(repository);
    const who = whoOf(authorization);
    const isGranted = authorization?.startsWith(`Bearer ${who}/${scope}/`) === true;
    if (isGranted && (!isPrivate || who === 'account')) return true;
    if (isGranted && hidesPrivate) {
      sendError(response, 404, 'NAME_UNKNOWN');
      return false;
    }
    const challenge = `Bearer realm="${realm ?? `${this.url}/token`}",service="fake",scope="${scope}"`;
    sendError(response, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    return false;
  }

  async #serveContent(request: SeenRequest, response: ServerResponse): Promise<void> {
    const match = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/([^/]+)$/.exec(request.path);
    const [, name = '', kind, reference = ''] = match ?? [];
    const repository = this.#repositories.get(name);
    if (request.path === '/v2/') {
      sendJson(response, 200, {});
    } else if (kind === 'manifests') {
      if (this.#isWithinLimit(request, response)) {
        this.#serveManifest(request, response, repository?.manifests.get(reference));
      }
    } else if (kind === 'blobs') {
      await this.#serveBlob(request, response, repository?.blobs.get(reference));
    } else if (kind === 'referrers' && this.behaviour.referrersPerPage !== undefined) {
      const descriptors = repository ? referrersOf(repository, reference) : [];
      sendReferrers(request, response, descriptors, this.behaviour.referrersPerPage);
    } else if (kind === 'tags' && repository) {
      const tags = [...repository.manifests.keys()].filter((key) => !key.includes(':'));
      sendJson(response, 200, { name, tags });
    } else {
      sendError(response, 404, 'NAME_UNKNOWN');
    }
  }

  /** As at Docker Hub: GETs of manifests count, HEADs tell. */
  #isWithinLimit({ method, authorization }: SeenRequest, response: ServerResponse): boolean {
    const { pullsLeft } = this.behaviour;
    const who = whoOf(authorization);
    const left = pullsLeft.get(who);
    if (left === undefined) return true;
    const isPull = method === 'GET';
    const leftNow = isPull ? Math.max(left - 1, 0) : left;
    pullsLeft.set(who, leftNow);
    response.setHeader('ratelimit-limit', '100;w=21600');
    response.setHeader('ratelimit-remaining', `${leftNow};w=21600`);
    response.setHeader('docker-ratelimit-source', who === 'anybody' ? '192.0.2.7' : who);
    if (!isPull || left > 0) return true;
    sendError(response, 429, 'TOOMANYREQUESTS');
    return false;
  }

  #serveManifest(
    { method }: SeenRequest,
    response: ServerResponse,
    manifest: StoredManifest | undefined,
  ): void {
    if (!manifest) {
      sendError(response, 404, 'MANIFEST_UNKNOWN');
      return;
    }
    const digest = `sha256:${createHash('sha256').update(manifest.bytes).digest('hex')}`;
    const body = this.#damaged(manifest.bytes);
    response.writeHead(200, {
      'content-type': manifest.mediaType,
      'content-length': body.length,
      'docker-content-digest': this.behaviour.digestHeader ?? digest,
    });
    response.end(method === 'HEAD' ? undefined : body);
  }

  async #serveBlob(
    { method, path, range }: SeenRequest,
    response: ServerResponse,
    bytes: Buffer | undefined,
  ): Promise<void> {
    if (!bytes) {
      sendError(response, 404, 'BLOB_UNKNOWN');
      return;
    }
    const { redirectBlobsTo } = this.behaviour;
    if (redirectBlobsTo !== undefined) {
      response.writeHead(307, { location: `${redirectBlobsTo}${path}?signature=x` }).end();
      return;
    }
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
    const first = Number(from ?? 0);
    const last = to === undefined || to === '' ? bytes.length - 1 : Number(to);
    const body = this.#damaged(bytes).subarray(first, last + 1);
    response.writeHead(range === undefined ? 200 : 206, {
      'content-type': 'application/octet-stream',
      'content-length': body.length,
      ...(range !== undefined && { 'content-range': `bytes ${first}-${last}/${bytes.length}` }),
    });
    if (method === 'HEAD') response.end();
    else await this.#sendBlob(response, body, first);
  }

  async #sendBlob(response: ServerResponse, body: Buffer, first: number): Promise<void> {
    const { cutBlob, blobPauses } = this.behaviour;
    if (cutBlob && cutBlob.times > 0) {
      cutBlob.times -= 1;
      response.flushHeaders();
      await write(response, body.subarray(0, Math.max(cutBlob.atByte - first, 0)));
      response.destroy();
      return;
    }
    let sent = 0;
    for (const { atByte, until } of blobPauses) {
      const end = Math.max(atByte - first, sent);
      await write(response, body.subarray(sent, end));
      sent = end;
      await until;
    }
    response.end(body.subarray(sent));
  }

  #damaged(bytes: Buffer): Buffer {
    if (!this.behaviour.flipsBit) return bytes;
    const copy = Buffer.from(bytes);
    copy.writeUInt8(copy.readUInt8(copy.length >> 1) ^ 1, copy.length >> 1);
    return copy;
  }
}

/** Whose token it is; without one `anybody`. */
const whoOf = (authorization: string | undefined): string =>
  /^Bearer ([^/]+)\//.exec(authorization ?? '')?.[1] ?? 'anybody';

function write(response: ServerResponse, bytes: Buffer): Promise<void> {
  if (bytes.length === 0) return Promise.resolve();
  return new Promise((resolve) => {
    response.write(bytes, () => resolve());
  });
}

/** Every manifest that names the subject, sorted by digest. */
function referrersOf({ manifests }: FakeRepository, subject: string): readonly object[] {
  return [...manifests]
    .filter(([reference]) => reference.includes(':'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([digest, { bytes, mediaType }]) => {
      const { subject: named, artifactType } = JSON.parse(bytes.toString('utf8')) as {
        subject?: { digest: string };
        artifactType?: string;
      };
      return named?.digest === subject
        ? [{ mediaType, digest, size: bytes.length, artifactType }]
        : [];
    });
}

function sendReferrers(
  { path, query }: SeenRequest,
  response: ServerResponse,
  all: readonly object[],
  perPage: number,
): void {
  const from = Number(query.get('from') ?? 0);
  const manifests = all.slice(from, from + perPage);
  const next = from + perPage;
  const mediaType = MEDIA_TYPES.oci.index;
  sendJson(
    response,
    200,
    { schemaVersion: 2, mediaType, manifests },
    {
      'content-type': mediaType,
      ...(next < all.length && { link: `<${path}?from=${next}>; rel="next"` }),
    },
  );
}

function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify(value);
  response
    .writeHead(status, {
      'content-type': 'application/json',
      'content-length': body.length,
      'docker-distribution-api-version': 'registry/2.0',
      ...headers,
    })
    .end(body);
}

function sendError(
  response: ServerResponse,
  status: number,
  code: string,
  headers: Record<string, string> = {},
): void {
  sendJson(response, status, { errors: [{ code, message: code.toLowerCase() }] }, headers);
}
