import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { htpasswdLines } from '../../../shared/auth/testing/htpasswd-lines.ts';
import type { HtpasswdConfig } from '../../../shared/config/auth-config.ts';
import { createTempStore } from '../../../shared/content/testing/temp-store.ts';
import { RecordedEdge } from '../../../shared/http/testing/recorded-edge.ts';
import { createStoreIndex } from '../../../shared/index/store/create-store-index.ts';
import { type Clock, systemClock } from '../../../shared/lifecycle/clock.ts';
import type { AuditLog } from '../../../shared/observability/audit-log.ts';
import { FilesystemExclusiveRecords } from '../../../shared/storage/filesystem/filesystem-exclusive-records.ts';
import type { RecordStore } from '../../../shared/storage/record-store.ts';
import type { OpenIdentities } from '../identities-options.ts';
import { openIdentities } from '../open-identities.ts';
import { ISSUING } from './issuing.ts';

export interface TestIdentities extends OpenIdentities {
  /** Where keys and sessions lie. */
  readonly records: RecordStore;
  close(): Promise<void>;
}

interface TestIdentitiesOptions {
  readonly audit?: AuditLog;
  readonly clock?: Clock;
}

/** The identities of a registry with the user alice, whose password is `wonderland`. */
export async function openTestIdentities(
  config: Partial<HtpasswdConfig> = {},
  { audit, clock = systemClock }: TestIdentitiesOptions = {},
): Promise<TestIdentities> {
  const folder = await mkdtemp(path.join(tmpdir(), 'twinport-identities-'));
  const htpasswdFile = path.join(folder, 'users');
  await writeFile(htpasswdFile, await htpasswdLines({ alice: 'wonderland' }));
  const store = await createTempStore();
  const end = new AbortController();
  const opened = await openIdentities(
    {
      mode: 'htpasswd',
      htpasswdFile,
      isPullPublic: false,
      ...ISSUING,
      ...config,
    },
    {
      records: store.records,
      shared: createStoreIndex(store.records, clock),
      audit,
      role: 'push',
      exclusive: new FilesystemExclusiveRecords(store.folder),
      announce: () => undefined,
      clock,
      log: new RecordedEdge().log,
      lifetime: end.signal,
    },
  );
  return {
    ...opened,
    records: store.records,
    close: async () => {
      end.abort();
      await store.remove();
      await rm(folder, { recursive: true });
    },
  };
}
