import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { afterAll, describe, expect, test } from '@jest/globals';

import { RecordedEdge } from '../../http/testing/recorded-edge.ts';
import { ManualClock } from '../../index/testing/manual-clock.ts';
import { describeReason } from '../../observability/describe-reason.ts';
import { KeyFile } from './key-file.ts';
import { keyId } from './token-keys.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'twinport-key-file-'));
const file = path.join(folder, 'key.pem');
afterAll(() => rmSync(folder, { recursive: true }));

const pem = (key: KeyObject): string =>
  key.export({ type: key.type === 'private' ? 'pkcs8' : 'spki', format: 'pem' });
const makeKey = (namedCurve = 'P-256'): KeyObject =>
  generateKeyPairSync('ec', { namedCurve }).privateKey;

async function open(text: string, clock = new ManualClock()) {
  writeFileSync(file, text);
  const edge = new RecordedEdge();
  return { keys: await KeyFile.open(file, clock, edge.log), edge };
}

describe('a file with the key of tokens', () => {
  const good = makeKey();
  const goodPem = pem(good);
  test.each<[string, () => string]>([
    ['a shorter curve', () => pem(makeKey('secp224r1'))],
    ['a longer curve', () => pem(makeKey('P-384'))],
    ['another curve of its length', () => pem(makeKey('secp256k1'))],
    ['an RSA key', () => pem(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
    ['a key of another kind', () => pem(generateKeyPairSync('ed25519').privateKey)],
    ['a public key alone', () => pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)],
    ['a key that was cut', () => goodPem.replace(/.{20}\n-----END/, '\n-----END')],
    ['a good key beside a bad one', () => goodPem + pem(makeKey('P-384'))],
    ['a password', () => 'correct horse battery staple'],
    ['nothing', () => ''],
  ])('is refused at the start with %s, which is not told (T-SE1)', async (_what, text) => {
    const content = text();
    const error: unknown = await open(content).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    const told = describeReason(error);
    expect(told).toContain(`AUTH_TOKEN_KEY_FILE (${file}) cannot be used`);
    for (const line of content.split('\n').filter((part) => part.length > 8)) {
      expect(told).not.toContain(line);
    }
  });

  test('that becomes one of these leaves the keys that were read before', async () => {
    const clock = new ManualClock();
    const { keys, edge } = await open(goodPem, clock);
    writeFileSync(file, pem(makeKey('P-384')));
    clock.advance(5_000);
    expect((await keys.signing()).kid).toBe(keyId(good));
    expect(edge.lines).toEqual([expect.objectContaining({ level: 'error' })]);
    expect(JSON.stringify(edge.lines)).not.toContain(goodPem.split('\n')[1]);
  });

  test('signs by its first private key, and believes and publishes all that stand in it', async () => {
    const [next, retired] = [makeKey(), makeKey()];
    const retiredPublic = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
    const clock = new ManualClock();
    const { keys } = await open(goodPem + pem(retired) + pem(retiredPublic), clock);
    expect((await keys.signing()).kid).toBe(keyId(good));
    // First behind the one that signs, so that every replica believes it before one signs by it.
    writeFileSync(file, goodPem + pem(next));
    clock.advance(5_000);
    expect((await keys.signing()).kid).toBe(keyId(good));
    expect(await keys.find(keyId(next))).toBeDefined();
    expect(await keys.find(keyId(retired))).toBeUndefined();
    writeFileSync(file, pem(next) + goodPem);
    clock.advance(5_000);
    expect((await keys.signing()).kid).toBe(keyId(next));
    expect((await keys.published()).map(({ kid }) => kid)).toEqual([keyId(next), keyId(good)]);
    expect(JSON.stringify(await keys.published())).not.toContain('"d"');
  });
});
