import { parseArgs } from 'node:util';

import pLimit from 'p-limit';

import {
  warmImage,
  type WarmedImage,
  type WarmSource,
} from '../../shared/content/warm/warm-image.ts';
import { parseWarmList, type WarmEntry } from '../../shared/content/warm/warm-list.ts';
import type { PullReference } from '../../shared/oci/pull-reference.ts';
import { type CallContext, CommandError, EXIT, type ServerCommand } from './command.ts';
import { describeRefusal, requireServer, ServerClient } from './server-client.ts';

const DEFAULT_AT_ONCE = 4;
const MAX_AT_ONCE = 64;

export const warm: ServerCommand = {
  name: 'warm',
  summary: 'pull a list of images through a mirror, so that it holds them',
  usage: 'FILE --server URL [--platform OS/ARCH]... [--concurrency N]',
  help: `Reads references, one a line (blank lines and what follows # are passed over; - is standard input), and pulls
each image whole through the mirror at URL. What the mirror holds already is not sent again. Of an image for
several platforms all are fetched, or with --platform (repeat it for several) those alone. --concurrency says
how many images are pulled at once (${DEFAULT_AT_ONCE}).

Exit code: 0 all are held, 1 some are not (they are listed with the reason), 2 nothing could be tried.`,
  worksOn: 'server',
  run,
};

async function run(context: CallContext): Promise<number> {
  const { file, server, platforms, atOnce } = parseCall(context.args);
  const { entries, problems } = parseWarmList(readList(context, file));
  for (const problem of problems) context.printError(`Warning: ${problem}`);
  const client = new ServerClient(server, context.signal);
  const limit = pLimit(atOnce);
  const outcomes = await Promise.all(
    entries.map((entry) => limit(() => warmEntry(entry, platforms, client, context))),
  );
  const warmed = outcomes.filter((outcome) => outcome !== undefined);
  const failed = entries.length - warmed.length + problems.length;
  const bytes = warmed.reduce((total, { fetchedBytes }) => total + fetchedBytes, 0);
  const failures = failed === 0 ? '' : `, ${failed} failed`;
  context.print(
    `${warmed.length} of ${entries.length + problems.length} images held${failures}; ${bytes} bytes fetched`,
  );
  return failed === 0 ? EXIT.fine : EXIT.found;
}

interface Call {
  readonly file: string;
  readonly server: URL;
  readonly platforms: readonly string[];
  readonly atOnce: number;
}

function parseCall(args: readonly string[]): Call {
  const { positionals, values } = parseWords(args);
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) {
    throw new CommandError('name one file of references, or - for standard input');
  }
  const { platform = [], concurrency = String(DEFAULT_AT_ONCE) } = values;
  const wrong = platform.find((value) => !/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(value));
  if (wrong !== undefined) throw new CommandError(`--platform ${wrong}: write it like linux/amd64`);
  const atOnce = /^\d{1,3}$/.test(concurrency) ? Number(concurrency) : 0;
  if (atOnce < 1 || atOnce > MAX_AT_ONCE) {
    throw new CommandError(`--concurrency must be a whole number from 1 to ${MAX_AT_ONCE}`);
  }
  return { file, server: requireServer(values.server), platforms: platform, atOnce };
}

function parseWords(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        server: { type: 'string' },
        platform: { type: 'string', multiple: true },
        concurrency: { type: 'string' },
      },
    });
  } catch (error) {
    throw new CommandError('`twinport help warm` says how it is called', { cause: error });
  }
}

function readList({ readFile }: CallContext, file: string): string {
  try {
    return readFile(file);
  } catch (error) {
    throw new CommandError(`the list ${file} cannot be read`, { cause: error });
  }
}

/** Undefined when it failed, which has been told. */
async function warmEntry(
  { text, image }: WarmEntry,
  platforms: readonly string[],
  client: ServerClient,
  { signal, print, printError }: CallContext,
): Promise<WarmedImage | undefined> {
  try {
    const warmed = await warmImage(image.reference, platforms, throughServer(image, client));
    print(`${text}: ${describe(warmed)}`);
    return warmed;
  } catch (error) {
    signal.throwIfAborted();
    printError(`${text}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

const describe = ({ blobs, fetchedBlobs, fetchedBytes }: WarmedImage): string =>
  fetchedBlobs === 0
    ? 'held already'
    : `fetched ${fetchedBlobs} of ${blobs} blobs, ${fetchedBytes} bytes`;

/** Pulls as any client does. What comes from the cache, or lies in a bucket that it is sent to, is not read. */
function throughServer(image: PullReference, client: ServerClient): WarmSource {
  return {
    manifest: async (reference) => {
      const word = reference.kind === 'tag' ? reference.tag : reference.digest;
      const response = await client.get(image, `manifests/${word}`);
      if (response.status !== 200) throw new Error(await describeRefusal(response));
      return {
        bytes: Buffer.from(await response.arrayBuffer()),
        mediaType: response.headers.get('content-type') ?? '',
      };
    },
    blob: async (digest, bytes) => {
      const response = await client.get(image, `blobs/${digest}`);
      const isRedirect = response.status >= 300 && response.status < 400;
      if (response.status !== 200 && !isRedirect) throw new Error(await describeRefusal(response));
      const cache = response.headers.get('x-cache');
      if (isRedirect || cache === null || cache.startsWith('HIT')) {
        await response.body?.cancel();
        return 'held';
      }
      let received = 0;
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        received += chunk.length;
      }
      if (received !== bytes)
        throw new Error(`${digest} came with ${received} bytes, not ${bytes}`);
      return 'fetched';
    },
  };
}
