import type { Call } from './call-table.ts';
import { echoOf, pathIn, type ReadView } from './read-view.ts';
import { manifest, manifestDigest, unknownDigest, wireManifests } from './wire-content.ts';

/** Every manifest by tag and by digest. */
export function manifestCalls(view: ReadView): Call[] {
  return wireManifests.flatMap(({ tag, digest, mediaType, bytes }) =>
    [...(tag === undefined ? [] : [tag]), digest].flatMap((reference) => {
      const common = {
        path: pathIn(view, `manifests/${reference}`),
        status: 200,
        answers: {
          'Content-Type': mediaType,
          'Content-Length': String(bytes.length),
          'Content-Encoding': undefined,
          'Docker-Content-Digest': digest,
          ETag: `"${digest}"`,
          ...echoOf(view),
        },
      };
      return [
        { shows: 'gives a manifest', method: 'GET', ...common, content: bytes },
        { shows: 'tells what a manifest is', method: 'HEAD', ...common, content: '' },
        {
          shows: 'gives a manifest byte for byte, whatever the client would rather have',
          method: 'GET',
          ...common,
          headers: { Accept: 'application/json', 'Accept-Encoding': 'gzip, zstd' },
          content: bytes,
        },
      ];
    }),
  );
}

/** Manifests that the client may have. */
export function conditionalManifestCalls(view: ReadView): Call[] {
  const tagged = `"${manifestDigest}"`;
  const methods = ['GET', 'HEAD'];
  return methods.flatMap((method) => [
    ...[tagged, `W/${tagged}`, `"x", ${tagged}`, '*'].map((value) => ({
      shows: `does not send a manifest again to who has ${value.slice(0, 12)}`,
      method,
      path: pathIn(view, 'manifests/v1'),
      headers: { 'If-None-Match': value },
      status: 304,
      answers: { ETag: tagged, 'Docker-Content-Digest': manifestDigest, ...echoOf(view) },
      content: '',
    })),
    {
      shows: 'sends a manifest to who has another',
      method,
      path: pathIn(view, 'manifests/v1'),
      headers: { 'If-None-Match': `"${unknownDigest}"`, Range: 'bytes=0-1' },
      status: 200,
      answers: { 'Content-Length': String(manifest.length) },
      content: method === 'GET' ? manifest : '',
    },
  ]);
}
