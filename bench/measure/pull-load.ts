import { Worker } from 'node:worker_threads';

/** An image that a number of clients pull at once. */
export interface PullLoad {
  readonly url: string;
  readonly repository: string;
  readonly tag: string;
  readonly clients: number;
  /** A client that has not got everything by then has failed. */
  readonly maxSeconds: number;
}

/** What one client saw, in milliseconds since it began. */
export interface ClientTimes {
  readonly manifestMs: number;
  /** Of a layer: what a manifest's answer held back shows here too. */
  readonly firstByteMs: number;
  readonly lastByteMs: number;
}

/** Pulls as all clients at once in a thread of its own; throws when one of them got less than all of the image. */
export async function runPullLoad(load: PullLoad): Promise<readonly ClientTimes[]> {
  const worker = new Worker(new URL('./pull-worker.ts', import.meta.url), { workerData: load });
  return await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => {
      reject(new Error('the pulls ended without a result'));
    });
  });
}
