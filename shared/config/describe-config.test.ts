import { describe, expect, test } from '@jest/globals';

import { describeConfig } from './describe-config.ts';
import { loadConfig } from './load-config.ts';
import { variable, VARIABLE_NAMES } from './variables.ts';

describe('describeConfig', () => {
  test('tells everything but the value of any secret', () => {
    const env: Record<string, string> = { S3_BUCKET: 'images' };
    for (const name of VARIABLE_NAMES) {
      const isList = name === 'UPSTREAMS' || name === 'AUTH_WORKLOAD_ISSUERS';
      if (variable(name).isSecret && !isList) env[name] = 'hunter2'.repeat(5);
    }
    env['UPSTREAMS'] = JSON.stringify([
      {
        url: 'https://quay.io',
        credentials: [{ username: 'hunter2', password: 'hunter2' }],
        proxyUrl: 'http://hunter2:hunter2@proxy:3128',
      },
    ]);
    env['https_proxy'] = 'http://hunter2:hunter2@proxy:3128';
    env['REDIS_URL'] = 'redis://user:hunter2@redis:6379/3?x=hunter2';
    const result = loadConfig(env, { mode: 'embedded', readFile: () => '' });
    if (!result.isValid) throw new Error(JSON.stringify(result.problems));
    for (const role of result.config.roles) {
      const described = describeConfig(role);
      expect(JSON.stringify(described)).not.toContain('hunter2');
      expect(described).toMatchObject({
        redis: 'redis://redis:6379/3',
        storage: { kind: 's3', bucket: 'images', credentials: 'configured' },
        defaultUpstream: 'mirror',
        upstreams: { count: 7, projects: expect.arrayContaining(['mirror', 'quay.io']) as unknown },
      });
    }
  });
});
