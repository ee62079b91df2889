import { describe, expect, test } from '@jest/globals';

import { Metrics } from './metrics.ts';

const render = async (metrics: Metrics, role: 'push' | 'mirror' = 'mirror'): Promise<string> =>
  (await metrics.render(role)).body;

describe('Metrics', () => {
  test('counts requests by role, operation and status class', async () => {
    const metrics = new Metrics({ version: '1.2.3' });
    metrics.observer('push').request({
      operation: 'blobGet',
      status: 206,
      seconds: 0.02,
      bytesIn: 3,
      bytesOut: 500,
      isClientGone: false,
    });
    const text = await render(metrics, 'push');
    const labels = 'role="push",operation="blobGet"';
    expect(text).toContain(`registry_http_requests_total{${labels},status_class="2xx"} 1`);
    expect(text).toContain(`registry_http_request_duration_seconds_count{${labels}} 1`);
    expect(text).toContain(`registry_http_received_bytes_total{${labels}} 3`);
    expect(text).toContain(`registry_http_sent_bytes_total{${labels}} 500`);
    expect(text).toContain('registry_build_info{version="1.2.3"} 1');
    expect(text).toContain('process_resident_memory_bytes');
  });

  test('counts what the store has lost, from zero on', async () => {
    const metrics = new Metrics({ version: '1' });
    const observer = metrics.observer('push');
    expect(await render(metrics, 'push')).toContain(
      'registry_storage_damage_total{kind="manifest-damaged"} 0',
    );
    observer.damage('blob-missing');
    expect(await render(metrics, 'push')).toContain(
      'registry_storage_damage_total{kind="blob-missing"} 1',
    );
  });

  test('counts a client that went away as neither success nor error', async () => {
    const metrics = new Metrics({ version: '1' });
    const observation = { operation: 'blobGet', seconds: 1, bytesIn: 0, bytesOut: 1 } as const;
    metrics.observer('push').request({ ...observation, status: 499, isClientGone: true });
    expect(await render(metrics, 'push')).toContain('status_class="client_closed"} 1');
  });

  test("has distribution's proxy counters from the start, by their names there", async () => {
    const metrics = new Metrics({ version: '1' });
    metrics.observer('mirror');
    const text = await render(metrics);
    for (const name of ['requests', 'hits', 'misses', 'pulled_bytes', 'pushed_bytes']) {
      expect(text).toContain(`registry_proxy_${name}_total{type="blob"} 0`);
      expect(text).toContain(`registry_proxy_${name}_total{type="manifest"} 0`);
    }
  });

  test('counts every pull at the mirror once, by how it was served', async () => {
    const metrics = new Metrics({ version: '1' });
    const observer = metrics.observer('mirror');
    observer.proxy({
      upstream: 'mirror',
      kind: 'blob',
      outcome: 'miss',
      bytesPulled: 10,
      bytesPushed: 10,
    });
    observer.proxy({ upstream: 'mirror', kind: 'blob', outcome: 'join', bytesPushed: 10 });
    observer.proxy({ upstream: 'mirror', kind: 'blob', outcome: 'hit', bytesPushed: 10 });
    observer.proxy({ upstream: 'mirror', kind: 'manifest', outcome: 'stale', bytesPushed: 5 });
    observer.upstreamRequest('GET', '2xx', 0.1);
    const text = await render(metrics);
    for (const line of [
      'registry_proxy_requests_total{type="blob"} 3',
      'registry_proxy_misses_total{type="blob"} 1',
      'registry_proxy_joins_total{type="blob"} 1',
      'registry_proxy_hits_total{type="blob"} 1',
      'registry_proxy_stale_total{type="manifest"} 1',
      'registry_proxy_pulled_bytes_total{type="blob"} 10',
      'registry_proxy_pushed_bytes_total{type="blob"} 30',
      'registry_proxy_upstream_request_duration_seconds_count{method="GET",status_class="2xx"} 1',
    ]) {
      expect(text).toContain(line);
    }
  });

  test('counts pulls by upstream and outcome, and what the cache saved', async () => {
    const metrics = new Metrics({ version: '1' });
    const observer = metrics.observer('mirror');
    const blob = { upstream: 'ghcr', kind: 'blob' } as const;
    observer.proxy({ ...blob, outcome: 'miss', bytesPulled: 10, bytesPushed: 10 });
    observer.proxy({ ...blob, outcome: 'bypass', bytesPulled: 10, bytesPushed: 4 });
    observer.proxy({ ...blob, outcome: 'hit', bytesPushed: 30 });
    observer.proxy({ ...blob, outcome: 'background', bytesPulled: 7 });
    observer.completion('ghcr', 'completed');
    observer.level('fills', 'ghcr', { add: 2 });
    observer.level('fills', 'ghcr', { add: -1 });
    observer.quota({
      upstream: 'ghcr',
      credential: 'account-1',
      limit: 100,
      remaining: 76,
      limitedUntilMs: 0,
    });
    const text = await render(metrics);
    for (const line of [
      'registry_mirror_pulls_total{upstream="ghcr",type="blob",outcome="hit"} 1',
      'registry_mirror_pulls_total{upstream="ghcr",type="blob",outcome="bypass"} 1',
      'registry_mirror_fetched_bytes_total{upstream="ghcr",type="blob"} 27',
      'registry_mirror_served_bytes_total{upstream="ghcr",type="blob",outcome="hit"} 30',
      'registry_mirror_saved_bytes{upstream="ghcr"} 17',
      'registry_mirror_completions_total{upstream="ghcr",outcome="completed"} 1',
      'registry_mirror_fills_running{upstream="ghcr"} 1',
      'registry_mirror_upstream_quota_remaining{upstream="ghcr",credential="account-1"} 76',
      'registry_mirror_upstream_quota_limit{upstream="ghcr",credential="account-1"} 100',
      'registry_proxy_requests_total{type="blob"} 3',
      'registry_proxy_misses_total{type="blob"} 2',
    ]) {
      expect(text).toContain(line);
    }
    expect(text).not.toContain('outcome="background"');
  });

  test('keeps the requests of two roles in one process apart, and shows both the store', async () => {
    const metrics = new Metrics({ version: '1' });
    const push = metrics.observer('push');
    metrics.observer('mirror');
    push.request({
      operation: 'base',
      status: 200,
      seconds: 0,
      bytesIn: 0,
      bytesOut: 0,
      isClientGone: false,
    });
    metrics.observer().store('record.put', 0.01, false);
    metrics.observer().redis('get', 0.001, true);
    const [pushText, mirrorText] = [await render(metrics, 'push'), await render(metrics)];
    expect(mirrorText).not.toContain('registry_http_requests_total{');
    expect(pushText).not.toContain('registry_proxy_');
    for (const text of [pushText, mirrorText]) {
      expect(text).toContain(
        'registry_storage_operation_duration_seconds_count{operation="record.put",outcome="ok"} 1',
      );
      expect(text).toContain(
        'registry_redis_operation_duration_seconds_count{operation="get",outcome="fault"} 1',
      );
    }
  });

  test('says each thing once: no name has two headers in one exposition', async () => {
    const metrics = new Metrics({ version: '1' });
    metrics.observer('push');
    metrics.observer('mirror');
    const names = [...(await render(metrics)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
