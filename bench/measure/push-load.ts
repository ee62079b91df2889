import { createHash, randomBytes } from 'node:crypto';
import { Agent, request, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** `docker`: POST, one PATCH of unknown length, an empty PUT. `containerd`: POST, one PUT with the whole blob. */
export type PushStyle = 'docker' | 'containerd';

export interface PushPlan {
  readonly style: PushStyle;
  readonly repository: string;
  readonly blobBytes: number;
  readonly blobs: number;
  /** Pushes at once. */
  readonly clients: number;
  /** After so long no further push is begun. */
  readonly maxMs?: number;
}

const CHUNK_BYTES = 256 * 1024;
const HEAD_BYTES = 64;
const MAX_BLOCK_BYTES = 100_000_000;

/** A blob of its own that shares all bytes but the first few with the others: many of them take little memory. */
export interface PushBlob {
  readonly digest: string;
  readonly head: Buffer;
  /** What follows the head, so many times. */
  readonly block: Buffer;
  readonly blocks: number;
}

/** Blobs that no registry has seen, with their digests, made before anything is timed. */
export function makePushBlobs({ blobs, blobBytes }: PushPlan): PushBlob[] {
  const blocks = Math.ceil(blobBytes / MAX_BLOCK_BYTES);
  const block = randomBytes(Math.floor((blobBytes - HEAD_BYTES) / blocks));
  return Array.from({ length: blobs }, () => {
    const head = randomBytes(HEAD_BYTES);
    const hash = createHash('sha256').update(head);
    for (let count = 0; count < blocks; count += 1) hash.update(block);
    return { digest: `sha256:${hash.digest('hex')}`, head, block, blocks };
  });
}

/**
 * Pushes the blobs as fast as the registry takes them, all of them or as many as there is time for; resolves with the
 * seconds that took, and their number. Throws when one fails, or when `signal` aborts.
 */
export async function runPushLoad(
  url: string,
  plan: PushPlan,
  blobs: readonly PushBlob[],
  signal?: AbortSignal,
): Promise<{ readonly seconds: number; readonly pushed: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: plan.clients });
  const waiting = [...blobs];
  const startedAt = performance.now();
  const next = (): PushBlob | undefined =>
    performance.now() - startedAt > (plan.maxMs ?? Infinity) ? undefined : waiting.pop();
  const client = async (): Promise<void> => {
    for (let blob = waiting.pop(); blob !== undefined; blob = next()) {
      await pushBlob({ url, agent, plan, signal }, blob);
    }
  };
  try {
    await Promise.all(Array.from({ length: plan.clients }, client));
    const seconds = (performance.now() - startedAt) / 1000;
    return { seconds, pushed: blobs.length - waiting.length };
  } finally {
    agent.destroy();
  }
}

interface Target {
  readonly url: string;
  readonly agent: Agent;
  readonly plan: PushPlan;
  readonly signal: AbortSignal | undefined;
}

async function pushBlob(target: Target, blob: PushBlob): Promise<void> {
  const { url, plan } = target;
  const base = `${url}/v2/${plan.repository}/blobs/`;
  await ask(target, 'HEAD', `${base}${blob.digest}`, 404);
  const started = await ask(target, 'POST', `${base}uploads/`, 202);
  let session = locationOf(started, url);
  if (plan.style === 'docker') {
    const patched = await ask(target, 'PATCH', session, 202, { blob, isChunked: true });
    session = locationOf(patched, url);
    await ask(target, 'PUT', withDigest(session, blob.digest), 201);
  } else {
    await ask(target, 'PUT', withDigest(session, blob.digest), 201, { blob, isChunked: false });
  }
}

async function ask(
  { agent, signal }: Target,
  method: string,
  url: string,
  expected: number,
  body?: { readonly blob: PushBlob; readonly isChunked: boolean },
): Promise<IncomingMessage> {
  const length = body ? body.blob.head.length + body.blob.block.length * body.blob.blocks : 0;
  const sent = request(url, {
    agent,
    method,
    ...(signal ? { signal } : {}),
    headers: {
      ...(body?.isChunked === true ? {} : { 'Content-Length': length }),
      ...(body ? { 'Content-Type': 'application/octet-stream' } : {}),
    },
  });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
  });
  // When sending fails that is what is told; nobody waits for the answer then.
  answered.catch(() => undefined);
  if (body) await pipeline(Readable.from(chunksOf(body.blob), { objectMode: false }), sent);
  else sent.end();
  const answer = await answered;
  answer.resume();
  if (answer.statusCode !== expected) {
    throw new Error(`${method} ${url} answered ${answer.statusCode ?? 0}, not ${expected}`);
  }
  return answer;
}

function* chunksOf({ head, block, blocks }: PushBlob): Generator<Buffer> {
  yield head;
  for (let count = 0; count < blocks; count += 1) {
    for (let at = 0; at < block.length; at += CHUNK_BYTES) {
      yield block.subarray(at, at + CHUNK_BYTES);
    }
  }
}

function locationOf(answer: IncomingMessage, base: string): string {
  const { location } = answer.headers;
  if (location === undefined) throw new Error('an upload answer without Location');
  return new URL(location, base).href;
}

const withDigest = (session: string, digest: string): string =>
  `${session}${session.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
