import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';

import { probeFolder } from '../../shared/storage/object-keys.ts';
import { startTwinport } from './registry-process.ts';
import type { TwinportOptions, TwinportProcess } from './registry-process.ts';
import { OwnedServers } from './owned-servers.ts';
import { startRedis } from './start-redis.ts';
import { startS3FaultProxy } from './s3-fault-proxy.ts';
import type { S3FaultProxy } from './s3-fault-proxy.ts';
import { createTestS3Client, startMinio } from './start-s3.ts';
import { listKeys, listOpenMultiparts } from './list-bucket.ts';
import { makeTempFolder } from './temp-folder.ts';

/** Parts that differ from S3's smallest, so that both edges are tested. */
export const BENCH_PART_BYTES = 6 * 1024 * 1024;

/** Calls are counted by a proxy, which holds each body in memory, except over 'minio without a proxy'. */
type BenchStore = 'minio and redis' | 'minio alone' | 'minio without a proxy' | 'files';

const SMALL_PARTS = {
  S3_PART_BYTES: String(BENCH_PART_BYTES),
  S3_MULTIPART_COPY_BYTES: String(4 * BENCH_PART_BYTES),
};

/** Push replicas over one store, with a view of the store itself. */
export class UploadBench {
  readonly #servers = new OwnedServers();
  readonly #kind: BenchStore;
  readonly #replicas: TwinportProcess[] = [];
  #storage: TwinportOptions['storage'] = { dataDir: '' };
  #redisUrl: string | undefined;
  #heldBack: TwinportProcess | undefined;
  #proxy: S3FaultProxy | undefined;
  #replaced: Promise<void> = Promise.resolve();
  #turn = 0;

  constructor(kind: BenchStore) {
    this.#kind = kind;
  }

  get isOverFiles(): boolean {
    return this.#kind === 'files';
  }

  async start(replicas: number): Promise<void> {
    if (this.isOverFiles) {
      this.#storage = { dataDir: makeTempFolder('uploads') };
    } else if (this.#kind === 'minio without a proxy') {
      this.#storage = await this.#servers.own(startMinio());
    } else {
      const s3 = await this.#servers.own(startMinio());
      this.#proxy = await this.#servers.own(startS3FaultProxy(s3.endpoint));
      this.#storage = { ...s3, endpoint: this.#proxy.endpoint };
    }
    if (this.#kind === 'minio and redis') {
      this.#redisUrl = (await this.#servers.own(startRedis({ own: true }))).url;
    }
    this.#replicas.push(
      ...(await Promise.all(Array.from({ length: replicas }, () => this.startReplica()))),
    );
  }

  async startReplica(options: Partial<TwinportOptions> = {}): Promise<TwinportProcess> {
    return await this.#servers.own(
      startTwinport({
        role: 'push',
        storage: this.#storage,
        ...(this.#redisUrl !== undefined && { redisUrl: this.#redisUrl }),
        ...options,
        env: { ...SMALL_PARTS, ...options.env },
      }),
    );
  }

  async stop(): Promise<void> {
    await this.#replaced.catch(() => undefined);
    await this.#servers.stopAll();
  }

  /** The address of the next replica that lives, in turn. */
  next(): string {
    return this.replica().url;
  }

  replica(): TwinportProcess {
    this.#turn += 1;
    return this.#replicas[this.#turn % this.#replicas.length]!;
  }

  /** `next` for one of several clients at once: each goes from replica to replica by itself. */
  turns(): () => string {
    this.#turn += 1;
    let turn = this.#turn;
    return () => {
      turn += 1;
      return this.#replicas[turn % this.#replicas.length]!.url;
    };
  }

  /** Ends a replica as a power failure does, the one that was used last. Another takes its place in a while. */
  async killOne(): Promise<void> {
    await this.whole();
    await this.#kill(this.#replicas.splice(this.#turn % this.#replicas.length, 1));
  }

  /** Takes one replica out of the turn, for `killAllUsed`. */
  async holdOneBack(): Promise<void> {
    await this.whole();
    this.#heldBack = this.#replicas.pop();
  }

  /** Ends all replicas but the one that was held back, which goes on alone until others take their places. */
  async killAllUsed(): Promise<void> {
    await this.#kill(this.#replicas.splice(0, this.#replicas.length, this.#heldBack!));
  }

  /** Resolves when every replica that was killed is replaced. */
  async whole(): Promise<void> {
    await this.#replaced;
  }

  async #kill(victims: readonly TwinportProcess[]): Promise<void> {
    for (const victim of victims) victim.kill('SIGKILL');
    await Promise.all(victims.map(({ ended }) => ended));
    const starts = victims.map(async () => void this.#replicas.push(await this.startReplica()));
    this.#replaced = Promise.all(starts).then(() => undefined);
    this.#replaced.catch(() => undefined);
  }

  /** What was asked of S3 since the last `forgetCalls`; empty over files. */
  get s3Calls(): S3FaultProxy['seen'] {
    return this.#proxy?.seen ?? [];
  }

  forgetCalls(): void {
    this.#proxy?.clear();
  }

  /** Every key in the store that contains `text`. */
  async keys(text: string): Promise<string[]> {
    if ('dataDir' in this.#storage) {
      const files = readdirSync(this.#storage.dataDir, { recursive: true, withFileTypes: true });
      return files
        .filter((entry) => entry.isFile())
        .map((entry) => `${entry.parentPath}/${entry.name}`)
        .filter((key) => key.includes(text));
    }
    const client = createTestS3Client(this.#storage);
    try {
      return (await listKeys(client, this.#storage.bucket, '')).filter((key) => key.includes(text));
    } finally {
      client.destroy();
    }
  }

  /** Multipart uploads of blobs that nobody ended; those of a probe that was killed go with a probe an hour later. */
  async openMultiparts(): Promise<string[]> {
    if ('dataDir' in this.#storage) return [];
    const client = createTestS3Client(this.#storage);
    try {
      const open = await listOpenMultiparts(client, this.#storage.bucket, '');
      return open.filter((key) => !key.startsWith(`${probeFolder}/`));
    } finally {
      client.destroy();
    }
  }

  newRepository(name: string): string {
    return `bench/${name}-${randomBytes(4).toString('hex')}`;
  }
}
