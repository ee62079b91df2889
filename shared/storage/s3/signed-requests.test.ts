import { GetObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { describe, expect, test } from '@jest/globals';

import { SignedRequests } from './signed-requests.ts';

interface Sent {
  readonly method: string;
  readonly hostname: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const KEY = "root/a b/ä+~!'()*/x@y:z=1&2,3;4";
const credentials = { accessKeyId: 'AKIA', secretAccessKey: 'secret', sessionToken: 'the-token' };

/** What the SDK itself would send for the same object. */
async function sentBySdk(config: S3ClientConfig, bucket: string): Promise<Sent> {
  let sent: Sent | undefined;
  const requestHandler = {
    handle: (request: Sent) => {
      sent = request;
      return Promise.reject(new Error('not sent'));
    },
  };
  const client = new S3Client({
    ...config,
    requestHandler: requestHandler,
  });
  const command = new GetObjectCommand({ Bucket: bucket, Key: KEY });
  await expect(client.send(command)).rejects.toThrow('not sent');
  client.destroy();
  return sent!;
}

const headersOf = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\r\n')
      .slice(1)
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );

describe('Requests signed by the SDK', () => {
  test.each([
    ['virtual hosts', { region: 'eu-central-1' }, 'bucket', true],
    ['path style', { region: 'eu-west-1', forcePathStyle: true }, 'bucket', true],
    ['a bucket name with dots', { region: 'us-east-1' }, 'bucket.with.dots', true],
    [
      'an endpoint with a port',
      { region: 'x', endpoint: 'http://store.example:9000', forcePathStyle: true },
      'bucket',
      false,
    ],
    ['an endpoint by an address', { region: 'x', endpoint: 'http://[::1]:9000' }, 'bucket', false],
  ] as const)('go where the SDK sends them: %s', async (_name, options, bucket, isTls) => {
    const config = { ...options, credentials, maxAttempts: 1 };
    const sent = await sentBySdk(config, bucket);
    const client = new S3Client(config);
    const signed = (await new SignedRequests(client, bucket).sign({ method: 'GET', key: KEY }))!;
    client.destroy();
    expect(signed.text.split('\r\n')[0]).toBe(`GET ${sent.path} HTTP/1.1`);
    expect(signed.endpoint.isTls).toBe(isTls);
    expect(signed.endpoint.host).toBe(sent.hostname.replace(/^\[(.*)\]$/, '$1'));
    const headers = headersOf(signed.text);
    expect(headers.get('host')).toBe(sent.headers['host']);
    expect(headers.get('x-amz-security-token')).toBe('the-token');
    const scope = (authorization = ''): string | undefined =>
      /Credential=AKIA\/\d+\/(.*?),/.exec(authorization)?.[1];
    expect(scope(headers.get('authorization'))).toBe(scope(sent.headers['authorization']));
  });

  test('take the credentials of the moment, and the clock of the store', async () => {
    let given = 0;
    const client = new S3Client({
      region: 'us-east-1',
      credentials: () => {
        given += 1;
        // One that has expired is asked for again.
        return Promise.resolve({
          ...credentials,
          accessKeyId: `AKIA${given}`,
          expiration: new Date(0),
        });
      },
    });
    const requests = new SignedRequests(client, 'bucket');
    const keyOf = async (): Promise<string | undefined> =>
      /Credential=(\w+)\//.exec((await requests.sign({ method: 'GET', key: 'a' }))!.text)?.[1];
    const first = await keyOf();
    expect(await keyOf()).not.toBe(first);
    client.config.systemClockOffset = -10 * 365 * 86_400_000;
    const { text } = (await requests.sign({ method: 'GET', key: 'a' }))!;
    const year = Number(headersOf(text).get('x-amz-date')?.slice(0, 4));
    expect(year).toBeLessThan(new Date().getFullYear() - 8);
    client.destroy();
  });

  test('reject without credentials, and are there once they are', async () => {
    let isGiven = false;
    const client = new S3Client({
      region: 'us-east-1',
      credentials: () =>
        isGiven ? Promise.resolve(credentials) : Promise.reject(new Error('no credentials')),
    });
    const requests = new SignedRequests(client, 'bucket');
    await expect(requests.sign({ method: 'GET', key: 'a' })).rejects.toThrow('no credentials');
    isGiven = true;
    expect((await requests.sign({ method: 'GET', key: 'a' }))?.text).toContain('Credential=AKIA/');
    client.destroy();
  });

  test('are not made for buckets that want another signature', async () => {
    const client = new S3Client({ region: 'us-east-1', credentials });
    const express = 'bucket--use1-az4--x-s3';
    expect(
      await new SignedRequests(client, express).sign({ method: 'GET', key: 'a' }),
    ).toBeUndefined();
    client.destroy();
  });
});
