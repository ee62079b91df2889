import { expect, jest, test } from '@jest/globals';
import { type Metric, Registry } from 'prom-client';

import { Metrics } from './metrics.ts';

/** The words that labels may have for what they tell. Nobody's name, no repository, tag, digest or address is among them. */
const LABELS: Readonly<Record<string, string>> = {
  role: 'push or mirror',
  operation: 'one of a list',
  status_class: 'one of five',
  outcome: 'one of a list',
  kind: 'one of a list',
  type: 'manifest or blob',
  method: 'GET or HEAD',
  joined: 'whether somebody had begun',
  reason: 'one of a list',
  version: 'of the program',
  upstream: 'a project of the configuration',
  credential: 'account-1, account-2, …',
};

test('every metric has labels of this list alone, so that none grows with its users or tells of them (T-MX1)', () => {
  const register = jest.spyOn(Registry.prototype, 'registerMetric');
  const metrics = new Metrics({ version: '1' });
  metrics.observer('push');
  metrics.observer('mirror');
  const made = register.mock.calls.map(
    ([metric]) => metric as Metric & { readonly name: string; readonly labelNames: string[] },
  );
  const own = made.filter(({ name }) => name.startsWith('registry_'));
  expect(own.length).toBeGreaterThan(30);
  const unknown = own.flatMap(({ name, labelNames }) =>
    labelNames.filter((label) => !Object.hasOwn(LABELS, label)).map((label) => `${name}: ${label}`),
  );
  expect(unknown).toEqual([]);
  jest.restoreAllMocks();
});
