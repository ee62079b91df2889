import { Agent, get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { residentBytes, withDescendants } from '../measure/cpu-time.ts';
import { makePushBlobs, type PushPlan, runPushLoad } from '../measure/push-load.ts';
import type { Subject } from '../subjects/subject.ts';

const PULLS = 64;
const PUSHES = 16;
const BLOB_BYTES = 1_000_000_000;
const SAMPLE_MS = 200;

/** Memory of the largest process of a registry, in bytes. */
export interface MemoryResult {
  readonly processes: number;
  readonly atRest: number;
  readonly peak: number;
  /** What the load moved while it was watched. */
  readonly gigabytesPulled: number;
  /** False when the time was up first. */
  readonly isPushed: boolean;
  readonly seconds: number;
}

/** 64 clients that pull a blob of 1 GB again and again, while 16 blobs of 1 GB are pushed; for `maxSeconds` at most. */
export async function measureMemory(subject: Subject, maxSeconds: number): Promise<MemoryResult> {
  const atRest = largest(subject);
  const pulled = makePushBlobs({ ...planOf('bench/memory'), blobs: 1 });
  await runPushLoad(subject.url, { ...planOf('bench/memory'), clients: 1 }, pulled);
  const plan = planOf('bench/memory-push');
  const pushed = makePushBlobs(plan);

  const stop = new AbortController();
  let peak = 0;
  const watching = (async () => {
    while (!stop.signal.aborted) {
      peak = Math.max(peak, largest(subject));
      await delay(SAMPLE_MS);
    }
  })();
  const startedAt = performance.now();
  const pulls = pullUntil(
    `${subject.url}/v2/bench/memory/blobs/${pulled[0]?.digest ?? ''}`,
    stop.signal,
  );
  const deadline = AbortSignal.timeout(maxSeconds * 1000);
  const isPushed = await runPushLoad(subject.url, plan, pushed, deadline)
    .then(
      () => true,
      (error: unknown) => {
        if (deadline.aborted) return false;
        throw error;
      },
    )
    .finally(() => {
      stop.abort();
    });
  await watching;
  const seconds = (performance.now() - startedAt) / 1000;
  const gigabytesPulled = (await pulls) / 1e9;
  await subject.forget(
    'bench/memory',
    pulled.map(({ digest }) => digest),
  );
  await subject.forget(
    'bench/memory-push',
    pushed.map(({ digest }) => digest),
  );
  const processes = withDescendants([subject.pid]).length;
  return { processes, atRest, peak, gigabytesPulled, isPushed, seconds };
}

const planOf = (repository: string): PushPlan => ({
  style: 'docker',
  repository,
  blobBytes: BLOB_BYTES,
  blobs: PUSHES,
  clients: PUSHES,
});

const largest = ({ pid }: Subject): number =>
  Math.max(...withDescendants([pid]).map((each) => residentBytes(each)));

/** Resolves with the bytes that came until the signal aborts. */
async function pullUntil(url: string, signal: AbortSignal): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: PULLS });
  let bytes = 0;
  const client = async (): Promise<void> => {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const request = get(url, { agent, signal }, (answer) => {
          answer.on('data', (chunk: Buffer) => {
            bytes += chunk.length;
          });
          answer.once('close', resolve);
          answer.once('error', () => undefined);
        });
        request.once('error', () => {
          resolve();
        });
      });
    }
  };
  await Promise.all(Array.from({ length: PULLS }, client));
  agent.destroy();
  return bytes;
}
