import { parseArgs } from 'node:util';

import { z } from 'zod';

import { CommandError, type CallContext, EXIT, type ServerCommand } from './command.ts';
import { describeRefusal, requireServer, ServerClient } from './server-client.ts';

export const explain: ServerCommand = {
  name: 'explain',
  summary: 'say what a mirror would do with a reference, and what it holds of it',
  usage: 'REFERENCE --server URL [--ns HOST]',
  help: `Asks the mirror at URL, which asks no upstream: which upstream the name means and why, what the tag named last and
when it is compared again, what is held for which platform, whether the repository is public. --ns is the
registry that containerd sends as ns.

Exit code: 0 the mirror answered, 2 it did not.`,
  worksOn: 'server',
  run,
};

const text = z.string();
const answer = z.object({
  name: text,
  kind: z.enum(['upstream', 'local', 'refused', 'unknown']),
  why: text,
  spelling: z.array(text),
  repository: text.optional(),
  upstream: z
    .object({
      project: text,
      url: text,
      repository: text,
      breaker: text,
      verdict: text,
      provedAt: text.optional(),
    })
    .optional(),
  tag: z
    .object({
      name: text,
      digest: text.optional(),
      lastCheckAt: text.optional(),
      nextCheckAt: text.optional(),
    })
    .optional(),
  manifest: z.object({ digest: text, mediaType: text, size: z.number(), holding: text }).optional(),
  platforms: z.array(z.object({ platform: text, digest: text, holding: text })).optional(),
});

async function run({ args, print, signal }: CallContext): Promise<number> {
  const { positionals, values } = parseWords(args);
  const [reference, ...more] = positionals;
  if (reference === undefined || more.length > 0) throw new CommandError('name one reference');
  const query = new URLSearchParams({ ref: reference });
  if (values.ns !== undefined) query.set('ns', values.ns);
  const client = new ServerClient(requireServer(values.server), signal);
  const response = await client.send(`/api/v1/explain?${query.toString()}`);
  if (response.status !== 200) throw new CommandError(await describeRefusal(response));
  const parsed = answer.safeParse(await response.json().catch(() => undefined));
  if (!parsed.success) throw new CommandError('the server gave something that is no explanation');
  for (const line of linesOf(parsed.data)) print(line);
  return EXIT.fine;
}

function parseWords(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { server: { type: 'string' }, ns: { type: 'string' } },
    });
  } catch (error) {
    throw new CommandError('`twinport help explain` says how it is called', { cause: error });
  }
}

const MEANINGS = {
  upstream: 'an upstream',
  local: 'this registry',
  refused: 'an upstream that is configured not to give it',
  unknown: 'nothing: a pull is answered 404',
} as const;

type Found = z.infer<typeof answer>;

function* linesOf(found: Found): Generator<string> {
  const { upstream } = found;
  yield row('name', found.name);
  yield row('means', upstream ? `${upstream.repository} at ${upstream.url}` : MEANINGS[found.kind]);
  yield row('because', found.why);
  for (const rule of found.spelling) yield row('', rule);
  if (found.repository !== undefined) yield row('kept as', found.repository);
  if (upstream) yield* linesOfUpstream(upstream);
  if (found.tag) yield* linesOfTag(found.tag);
  yield* linesOfHoldings(found);
}

function* linesOfUpstream(upstream: NonNullable<Found['upstream']>): Generator<string> {
  const since = upstream.provedAt === undefined ? '' : ` (proved ${upstream.provedAt})`;
  yield row('verdict', `${upstream.verdict}${since}`);
  if (upstream.breaker === 'open') yield row('breaker', 'open: the upstream is left alone');
}

function* linesOfTag(tag: NonNullable<Found['tag']>): Generator<string> {
  yield row('tag', `${tag.name} is ${tag.digest ?? 'not held'}`);
  if (tag.lastCheckAt !== undefined) yield row('last check', tag.lastCheckAt);
  if (tag.nextCheckAt !== undefined) yield row('next check', tag.nextCheckAt);
}

function* linesOfHoldings({ manifest, platforms = [] }: Found): Generator<string> {
  if (manifest) yield row('manifest', `${manifest.digest}, ${manifest.mediaType}`);
  if (platforms.length === 0) yield row('held', manifest?.holding ?? 'none');
  else yield row('held', 'by platform');
  for (const { platform, digest, holding } of platforms) {
    yield row('', `${platform.padEnd(16)} ${holding.padEnd(10)} ${digest}`);
  }
}

const row = (title: string, value: string): string => `${title.padEnd(10)}  ${value}`;
