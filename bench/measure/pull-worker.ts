/** The thread in which the clients of `runPullLoad` run, so that they do not wait for the counter of the upstream. */
import { Agent, get, type IncomingMessage } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';

import pLimit from 'p-limit';

import { ACCEPT } from './accept.ts';
import type { ClientTimes, PullLoad } from './pull-load.ts';

/** As docker and containerd do. */
const LAYERS_AT_ONCE = 3;

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

interface ManifestBody {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

async function pullAll(load: PullLoad): Promise<readonly ClientTimes[]> {
  const signal = AbortSignal.timeout(load.maxSeconds * 1000);
  return await Promise.all(Array.from({ length: load.clients }, () => pullAsOne(load, signal)));
}

async function pullAsOne(load: PullLoad, signal: AbortSignal): Promise<ClientTimes> {
  const agent = new Agent({ keepAlive: true, maxSockets: LAYERS_AT_ONCE + 1 });
  const base = `${load.url}/v2/${load.repository}`;
  const startedAt = performance.now();
  const since = (): number => performance.now() - startedAt;
  const open = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = { Accept: ACCEPT };
      const request = get(`${base}/${path}`, { agent, signal, headers }, (answer) => {
        if (answer.statusCode === 200) resolve(answer);
        else reject(new Error(`${path} was answered ${answer.statusCode ?? 0}`));
      });
      request.once('error', reject);
    });
  let firstByteMs: number | undefined;
  const readBlob = async ({ digest, size }: Descriptor, isLayer: boolean): Promise<void> => {
    const answer = await open(`blobs/${digest}`);
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      if (isLayer) firstByteMs ??= since();
      bytes += chunk.length;
    });
    await ended(answer);
    if (bytes !== size) throw new Error(`${digest} came with ${bytes} of ${size} bytes`);
  };
  try {
    const answer = await open(`manifests/${load.tag}`);
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => chunks.push(chunk));
    await ended(answer);
    const manifestMs = since();
    const { config, layers } = JSON.parse(Buffer.concat(chunks).toString()) as ManifestBody;
    const limit = pLimit(LAYERS_AT_ONCE);
    await Promise.all([
      readBlob(config, false),
      ...layers.map((layer) => limit(() => readBlob(layer, true))),
    ]);
    return { manifestMs, firstByteMs: firstByteMs ?? since(), lastByteMs: since() };
  } finally {
    agent.destroy();
  }
}

function ended(answer: IncomingMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    answer.once('end', resolve).once('error', reject);
  });
}

parentPort?.postMessage(await pullAll(workerData as PullLoad));
