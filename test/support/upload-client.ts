import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request as sendRequest } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

/** What a registry says about an upload. */
export interface UploadAnswer {
  readonly status: number;
  /** Path and query of `Location`: they are good at every replica. */
  readonly location: string;
  /** The `Range` header, `0-<last byte>`. */
  readonly range: string | undefined;
  readonly body: string;
}

interface UploadRequest {
  readonly method: 'POST' | 'PATCH' | 'PUT' | 'GET' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Sends the body without announcing its length. */
  readonly isStreamed?: boolean;
}

/** One request of an upload with its answer. */
export async function ask(url: string, request: UploadRequest): Promise<UploadAnswer> {
  const { body, isStreamed = false } = request;
  const sent = openRequest(url, request, isStreamed ? undefined : (body?.length ?? 0));
  const answered = answerTo(sent);
  sent.end(body);
  return await answered;
}

/** A request whose body is sent piece by piece. `bytes`: its announced length; undefined: none is. */
export class SlowRequest {
  readonly answer: Promise<UploadAnswer>;
  readonly #request: ClientRequest;

  constructor(url: string, request: UploadRequest, bytes: number | undefined) {
    this.#request = openRequest(url, request, bytes);
    this.answer = answerTo(this.#request);
    // Who lets the connection break does not wait for an answer.
    this.answer.catch(() => undefined);
    this.#request.flushHeaders();
  }

  /** Resolves when the bytes have left this process, or the answer is there: who is refused early is read no further. */
  async write(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    const sent = new Promise<void>((resolve, reject) => {
      this.#request.write(bytes, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
    await Promise.race([sent, this.answer.then(() => undefined)]);
  }

  async end(): Promise<UploadAnswer> {
    this.#request.end();
    return await this.answer;
  }

  /** The client vanishes. */
  async vanish(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#request.once('close', () => resolve()));
    this.#request.destroy();
    await closed;
  }
}

export async function openUpload(url: string, repository: string): Promise<string> {
  const answer = await ask(url, { method: 'POST', path: `/v2/${repository}/blobs/uploads/` });
  if (answer.status !== 202) throw new Error(`POST answered ${answer.status}: ${answer.body}`);
  return answer.location;
}

/** A PATCH with `Content-Range` where `offset` is given. */
export function patch(
  url: string,
  path: string,
  bytes: Buffer,
  offset?: number,
): Promise<UploadAnswer> {
  const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
  if (offset !== undefined) headers['content-range'] = `${offset}-${offset + bytes.length - 1}`;
  return ask(url, { method: 'PATCH', path, headers, body: bytes });
}

/** The PUT that ends an upload, with the last bytes where there are any. */
export function commit(
  url: string,
  path: string,
  digest: string,
  bytes?: Buffer,
): Promise<UploadAnswer> {
  const separator = path.includes('?') ? '&' : '?';
  const target = `${path}${separator}digest=${encodeURIComponent(digest)}`;
  return ask(url, { method: 'PUT', path: target, ...(bytes && { body: bytes }) });
}

/** How many bytes a session has, by its `Range`; undefined when it is not known. */
export async function uploadedBytes(url: string, path: string): Promise<number | undefined> {
  const { status, range } = await ask(url, { method: 'GET', path });
  if (status === 404) return undefined;
  if (status !== 204) throw new Error(`the status of an upload was answered ${status}`);
  return bytesIn(range);
}

/** `0-0` stands for nothing and for one byte alike. */
function bytesIn(range: string | undefined): number {
  const last = Number(/^0-(\d+)$/.exec(range ?? '')?.[1] ?? Number.NaN);
  return last === 0 ? 0 : last + 1;
}

/** Digest and size of a blob as it is served; undefined when it is not. */
export async function pulledBlob(
  url: string,
  repository: string,
  digest: string,
): Promise<{ readonly digest: string; readonly size: number } | undefined> {
  const response = await fetch(`${url}/v2/${repository}/blobs/${digest}`);
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    return undefined;
  }
  const algorithm = digest.split(':')[0] ?? '';
  const hash = createHash(algorithm);
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { digest: `${algorithm}:${hash.digest('hex')}`, size };
}

function openRequest(
  url: string,
  { method, path, headers = {} }: UploadRequest,
  bytes: number | undefined,
): ClientRequest {
  const length: Record<string, string> =
    bytes === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(bytes) };
  return sendRequest(new URL(path, url), {
    method,
    agent: false,
    headers: { ...headers, ...(method === 'GET' ? {} : length) },
  });
}

async function answerTo(request: ClientRequest): Promise<UploadAnswer> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const location = new URL(response.headers.location ?? '/', 'http://registry');
  return {
    status: response.statusCode ?? 0,
    location: `${location.pathname}${location.search}`,
    range: response.headers.range,
    body: await text(response),
  };
}
