import { describe, expect, test } from '@jest/globals';

import { systemClock } from '../../shared/lifecycle/clock.ts';
import { Metrics } from '../../shared/observability/metrics.ts';
import { type CountedWorker, SummedMetrics } from './summed-metrics.ts';

function worker(number: number, requests: number) {
  const metrics = new Metrics({ version: '1' });
  const observer = metrics.observer('push');
  const serve = (times: number): void => {
    for (let time = 0; time < times; time += 1) {
      observer.request({
        operation: 'blobGet',
        status: 200,
        seconds: 0.02,
        bytesIn: 0,
        bytesOut: 10,
        isClientGone: false,
      });
    }
  };
  serve(requests);
  const counted: CountedWorker = { number, peer: { call: () => metrics.snapshot() } };
  return { counted, serve };
}

const REQUESTS = 'registry_http_requests_total{role="push",operation="blobGet",status_class="2xx"}';
const SENT = 'registry_http_sent_bytes_total{role="push",operation="blobGet"}';
const BELOW =
  'registry_http_request_duration_seconds_bucket{le="0.025",role="push",operation="blobGet"}';

describe('SummedMetrics', () => {
  const lines = (body: string): string[] => body.split('\n');

  test('sums counters and histograms, and tells each worker apart by its memory alone', async () => {
    const sums = new SummedMetrics(systemClock);
    const living = [worker(1, 3).counted, worker(2, 4).counted];
    const { body } = await sums.render('push', living);
    expect(lines(body)).toEqual(
      expect.arrayContaining([`${REQUESTS} 7`, `${SENT} 70`, `${BELOW} 7`, 'registry_workers 2']),
    );
    expect(lines(body)).toContain('registry_build_info{version="1"} 1');
    expect(body).toMatch(/registry_worker_resident_memory_bytes\{worker="2"\} \d/);
    for (const name of ['process_start_time_seconds', 'process_cpu_seconds_total']) {
      expect(body.match(new RegExp(`^${name} `, 'gm'))).toHaveLength(1);
    }
  });

  test('keeps what a dead worker had counted, and not its gauges', async () => {
    const sums = new SummedMetrics(systemClock);
    const [first, second] = [worker(1, 3), worker(2, 4)];
    await sums.render('push', [first.counted, second.counted]);
    for (const { counted } of [first, second]) sums.ended(counted);
    sums.restarted();
    const { body } = await sums.render('push', [worker(1, 1).counted]);
    expect(lines(body)).toEqual(
      expect.arrayContaining([
        `${REQUESTS} 8`,
        `${BELOW} 8`,
        'registry_workers 1',
        'registry_worker_restarts_total 1',
        'registry_build_info{version="1"} 1',
      ]),
    );
    expect(body).not.toContain('{worker="2"}');
  });

  test('shows a worker that does not answer as it was', async () => {
    const sums = new SummedMetrics(systemClock);
    const { counted } = worker(1, 3);
    let isGone = false;
    const silent: CountedWorker = {
      number: 1,
      peer: {
        call: (...call) =>
          isGone ? Promise.reject(new Error('gone')) : counted.peer.call(...call),
      },
    };
    await sums.render('push', [silent]);
    isGone = true;
    expect(lines((await sums.render('push', [silent])).body)).toContain(`${REQUESTS} 3`);
  });
});
