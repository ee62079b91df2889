import { describe, expect, test } from '@jest/globals';

import { loadConfig } from '../../shared/config/load-config.ts';
import { banner } from './banner.ts';

function show(env: Record<string, string>): string {
  const result = loadConfig(env, { mode: 'embedded', readFile: () => 'PEM' });
  if (!result.isValid) throw new Error(JSON.stringify(result.problems));
  const [push, mirror] = result.config.roles;
  return banner(
    '1.2.3',
    { config: push, port: 6000, metricsPort: 9090 },
    { config: mirror!, port: 6001, metricsPort: 9091 },
  );
}

describe('the banner', () => {
  test('prints the docker commands to try, with the ports that are really listened on', () => {
    const text = show({});
    expect(text).toContain('docker push localhost:6000/demo/hello:1');
    expect(text).toContain('docker pull localhost:6000/demo/hello:1');
    expect(text).toContain('docker pull localhost:6001/demo/hello:1');
    expect(text).toContain('docker pull localhost:6001/hello-world');
    expect(text).toContain('{ "registry-mirrors": ["http://localhost:6001"] }');
    expect(text).toContain('http://localhost:9090');
    expect(text).toContain('the folder ./data');
    expect(text).not.toContain('docker login');
  });

  test('begins with a login at each port where somebody has to log in', () => {
    const text = show({ AUTH_MODE: 'token' });
    expect(text).toContain('docker pull localhost:6001/local/demo/hello:1');
    expect(text).toMatch(
      /Try it:\n\n {2}docker login localhost:6000\n {2}docker login localhost:6001\n {2}docker pull/,
    );
  });

  test('says https where there is a certificate, and the host where it is not this machine', () => {
    const text = show({ HTTP_TLS_CERTIFICATE: '/c', HTTP_TLS_KEY: '/k', HTTP_HOST: '10.1.2.3' });
    expect(text).toContain('https://10.1.2.3:6000');
    expect(text).toContain('docker push 10.1.2.3:6000/');
  });

  test('shows no secret', () => {
    const text = show({
      S3_BUCKET: 'images',
      S3_ACCESS_KEY_ID: 'hunter2',
      S3_SECRET_ACCESS_KEY: 'hunter2',
      REDIS_URL: 'redis://:hunter2@redis',
    });
    expect(text).toContain('the bucket images, index in Redis');
    expect(text).not.toContain('hunter2');
  });
});
