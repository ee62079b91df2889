import { readFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from '@jest/globals';

import { Metrics } from '../../shared/observability/metrics.ts';
import { describeWithTools } from '../support/describe-with-tools.ts';
import { requireTool } from '../support/find-tool.ts';
import { runSuccessfully } from '../support/run-command.ts';

const FOLDER = path.resolve(import.meta.dirname, '..', '..', 'prometheus');
const RULES = path.join(FOLDER, 'twinport.rules.yaml');

describe('the alert rules', () => {
  test('name metrics that the roles have', async () => {
    const metrics = new Metrics({ version: '1' });
    for (const role of ['push', 'mirror'] as const) metrics.observer(role);
    const { body } = await metrics.render('mirror');
    const named = new Set(readFileSync(RULES, 'utf8').match(/registry_[a-z_]+/g));
    expect(named.size).toBeGreaterThan(4);
    const missing = [...named].filter((name) => !body.includes(`# TYPE ${name} `));
    expect(missing).toEqual([]);
  });

  describeWithTools(['promtool'], 'to promtool', () => {
    const promtool = (...args: readonly string[]): Promise<string> =>
      runSuccessfully(requireTool('promtool'), args);

    test('are rules without a fault', async () => {
      expect(await promtool('check', 'rules', RULES)).toContain('SUCCESS');
    });

    test('speak when each has a reason to, and are silent while all is well', async () => {
      const tests = path.join(FOLDER, 'twinport.rules.test.yaml');
      expect(await promtool('test', 'rules', tests)).toContain('SUCCESS');
    });
  });
});
