import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { systemClock } from '../../lifecycle/clock.ts';
import { describeBlobStore } from '../testing/blob-store-contract.ts';
import { describeRecordStore } from '../testing/record-store-contract.ts';
import { describeUploadStore } from '../testing/upload-store-contract.ts';
import { FilesystemBlobStore } from './filesystem-blob-store.ts';
import { FilesystemRecordStore } from './filesystem-record-store.ts';
import { FilesystemUploadStore } from './filesystem-upload-store.ts';

const sizes = { partBytes: 300_000 };

async function makeRoot(): Promise<{
  root: string;
  leftovers: () => Promise<string[]>;
  cleanUp: () => Promise<void>;
}> {
  const root = await mkdtemp(join(tmpdir(), 'twinport-store-'));
  return {
    root,
    leftovers: () => readdir(join(root, 'twinport', 'tmp')).catch(() => []),
    cleanUp: () => rm(root, { recursive: true }),
  };
}

describeRecordStore('FilesystemRecordStore', async () => {
  const { root, cleanUp } = await makeRoot();
  const upper = await stat(root.toUpperCase()).catch(() => undefined);
  return {
    store: new FilesystemRecordStore(root),
    replica: new FilesystemRecordStore(root),
    isFlat: false,
    isCaseSensitive: upper === undefined,
    cleanUp,
  };
});

describeBlobStore(
  'FilesystemBlobStore',
  async () => {
    const { root, leftovers, cleanUp } = await makeRoot();
    return {
      store: new FilesystemBlobStore(root),
      replica: new FilesystemBlobStore(root),
      records: new FilesystemRecordStore(root),
      leftovers,
      cleanUp,
    };
  },
  sizes,
);

describeUploadStore(
  'FilesystemUploadStore',
  async () => {
    const { root, leftovers, cleanUp } = await makeRoot();
    return {
      store: new FilesystemUploadStore(root, systemClock),
      replica: new FilesystemUploadStore(root, systemClock),
      blobs: new FilesystemBlobStore(root),
      records: new FilesystemRecordStore(root),
      leftovers,
      cleanUp,
    };
  },
  sizes,
);
