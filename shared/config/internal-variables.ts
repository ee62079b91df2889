import { listenHost, port, serverUrl, text } from './value-schemas.ts';
import type { Variable } from './variable.ts';

/** How the mirrors of one store reach each other. */
export const INTERNAL_VARIABLES = {
  INTERNAL_URL: {
    reader: 'mirror',
    description:
      'URL under which the other mirrors of this store reach this process for the downloads that they join, for example `http://10.0.0.7:5002`. They find it in Redis.',
    schema: serverUrl('http'),
    fallbackNote: 'downloads are joined among the `WORKERS` of this program alone',
  },
  INTERNAL_HOST: {
    reader: 'mirror',
    description: 'Address to listen on for the other mirrors, with `INTERNAL_URL`.',
    schema: listenHost,
    fallback: '127.0.0.1',
  },
  INTERNAL_PORT: {
    reader: 'mirror',
    description:
      'Port for the other mirrors, with `INTERNAL_URL`. Of several `WORKERS` each takes the next one, here and in the URL. `0`: a free one, which then stands in the URL too.',
    schema: port,
    fallback: '5002',
  },
  INTERNAL_SECRET: {
    reader: 'mirror',
    description:
      'Secret by which the mirrors of one store know each other, of at least 32 characters; the same for all of them.',
    schema: text.min(32, 'must have at least 32 characters'),
    fallbackNote: 'one that the first mirror makes and keeps in the store',
    isSecret: true,
  },
} as const satisfies Record<string, Variable>;
