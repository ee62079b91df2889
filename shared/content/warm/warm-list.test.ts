import { describe, expect, test } from '@jest/globals';

import { parseWarmList } from './warm-list.ts';

describe('parseWarmList', () => {
  test('reads one reference a line, without comments, blank lines and repetitions', () => {
    const list = parseWarmList(
      '# base\nredis:7\r\n\n  nginx # web\nredis:7\nghcr.io/org/app@sha256:bad\n',
    );
    expect(list.entries.map(({ text }) => text)).toEqual(['redis:7', 'nginx']);
    expect(list.problems).toEqual(['line 6: "ghcr.io/org/app@sha256:bad" is no image reference']);
  });

  test.each([
    ['redis', 'redis', 'latest', undefined],
    ['ghcr.io/org/app:v1', 'ghcr.io/org/app', 'v1', undefined],
    ['registry.local:5000/team/app:v1', 'team/app', 'v1', 'registry.local:5000'],
    [`app:1@sha256:${'a'.repeat(64)}`, 'app', `sha256:${'a'.repeat(64)}`, undefined],
  ])('%s', (text, name, word, namespace) => {
    const image = parseWarmList(text).entries[0]!.image;
    const { reference } = image;
    expect([image.name, image.namespace]).toEqual([name, namespace]);
    expect(reference.kind === 'tag' ? reference.tag : reference.digest).toBe(word);
  });

  test.each(['a:', 'a@', ':1', '/a', 'a//b', 'A', 'a b', 'https://a/b', 'a:1:2'])(
    '"%s" is no reference',
    (text) => {
      expect(parseWarmList(text)).toMatchObject({ entries: [], problems: [expect.anything()] });
    },
  );
});
