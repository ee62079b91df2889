import { expect, test } from '@jest/globals';

import { secretNames } from './secret-names.ts';

test('variables with secrets are told from those that helpers need', () => {
  const secret = ['UPSTREAM_PASSWORD', 'REDIS_URL', 'UPSTREAMS', 'REGISTRY_REDIS_PASSWORD'];
  const others = ['PATH', 'HTTPS_PROXY', 'AWS_PROFILE', 'UPSTREAM_PASSWORD_FILE', 'LOG_LEVEL'];
  expect(secretNames([...secret, ...others])).toEqual(secret);
});
