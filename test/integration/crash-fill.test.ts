import { afterAll, beforeAll, expect, test } from '@jest/globals';

import type { CrashPoint } from '../../shared/lifecycle/crash-point.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { pullLabel, pushLabelled } from '../support/labelled-image.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport } from '../support/registry-process.ts';
import { startUpstream, type UpstreamRegistry } from '../support/start-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { auditTestStore } from './audit-test-store.ts';

const POINTS: readonly `${CrashPoint}${'' | `:${number}`}`[] = [
  'origin.marked',
  'manifest.stored',
  'manifest.linked',
  'tag.history-written',
  'tag.current-written',
  'fill.manifest-stored',
  'fill.blob-stored',
  'fill.blob-linked',
];

describeWithTools(['registry'], 'a mirror that is killed at', () => {
  const servers = new OwnedServers();
  let upstream: UpstreamRegistry;

  beforeAll(async () => {
    upstream = await servers.own(startUpstream());
    await pushLabelled(upstream.directUrl, 'library/hello', '1', 'hub hello');
  });
  afterAll(() => servers.stopAll());

  test.each(POINTS)(
    '%s leaves nothing half done, and the next mirror serves the image, then without the upstream',
    async (point) => {
      const options = {
        role: 'mirror',
        storage: { dataDir: makeTempFolder('fill') },
        upstreamUrl: upstream.url,
        env: { MIRROR_TAG_TTL_SECONDS: '0' },
      } as const;
      const victim = await startTwinport({
        ...options,
        env: { TWINPORT_CRASH_POINT: point },
      });
      // A client may have got everything when the mirror dies while it stores the last of it.
      await pullLabel(victim.url, 'hello', '1').catch(() => undefined);
      expect(await victim.ended).toEqual({ code: null, signal: 'SIGKILL' });
      await victim.stop();
      expect(await auditTestStore(options.storage)).toEqual([]);

      const next = await servers.own(startTwinport(options));
      expect(await pullLabel(next.url, 'hello', '1')).toBe('hub hello');
      await next.stop();
      expect(await auditTestStore(options.storage)).toEqual([]);

      const alone = await servers.own(startTwinport(options));
      await upstream.goDown();
      try {
        expect(await pullLabel(alone.url, 'hello', '1')).toBe('hub hello');
      } finally {
        await upstream.comeBack();
        await alone.stop();
      }
    },
  );
});
