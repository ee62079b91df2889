import { afterEach, expect, test } from '@jest/globals';

import { digestOfText, newRepository } from '../../shared/index/testing/index-names.ts';
import { unending } from '../../shared/storage/testing/contract-support.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { GatedRecordStore } from '../support/gated-record-store.ts';
import { createIndexLab, type IndexLab } from '../support/index-lab.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

const BLOB = digestOfText('a blob of two repositories');

describeWithTools(['redis-server'], 'a blob that is deleted from one of two repositories', () => {
  let lab: IndexLab;
  let proxy: TcpProxy | undefined;
  afterEach(async () => {
    await proxy?.close();
    await lab.close();
  });

  test.each(['cut', 'block'] as const)(
    'stays deleted there, whoever reads the other, when Redis fails between mark and answer (%s, T-CA1)',
    async (how) => {
      lab = await createIndexLab();
      proxy = await startTcpProxy(lab.redis.port);
      const gated = new GatedRecordStore(lab.records);
      const reader = await lab.replica();
      const url = `redis://127.0.0.1:${proxy.port}`;
      const writer = await lab.replica({ url, records: gated, isAwaited: true });
      const [one, other] = [newRepository(), newRepository()];
      const has = (repository: typeof one, index = reader): Promise<boolean> =>
        index.members.has(repository, 'blob', BLOB, unending);
      for (const repository of [one, other]) {
        await writer.members.add(repository, 'blob', BLOB, unending);
        for (let time = 0; time < 2; time += 1) expect(await has(repository)).toBe(true);
      }

      const gate = gated.gate('before', 'delete', `/${one}/`);
      const removing = writer.members.remove(one, 'blob', BLOB, unending);
      await gate.reached;
      // The mark stands in Redis, and what would be written next cannot be.
      proxy[how]();
      gate.release();
      expect(await removing).toBe(true);
      for (let time = 0; time < 3; time += 1) {
        expect([await has(other), await has(one)]).toEqual([true, false]);
        expect([await has(other, writer), await has(one, writer)]).toEqual([true, false]);
      }

      proxy.open();
      await lab.reachable(writer);
      await lab.warm();
      for (const index of [reader, writer, await lab.replica()]) {
        expect([await has(other, index), await has(one, index)]).toEqual([true, false]);
      }
    },
  );
});
