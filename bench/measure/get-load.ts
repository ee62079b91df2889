import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { requireTool } from '../../test/support/find-tool.ts';
import { runSuccessfully } from '../../test/support/run-command.ts';
import { ACCEPT } from './accept.ts';

export interface GetLoad {
  readonly url: string;
  /** One path, or many of which each request takes one at random. */
  readonly paths: readonly string[];
  readonly method: 'GET' | 'HEAD';
  readonly connections: number;
  readonly seconds: number;
}

export interface GetResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Broken connections and answers that are no success; a measurement with any of them is worth nothing. */
  readonly failures: number;
}

/** Requests as fast as the server answers, from keep-alive connections that each wait for their answer. */
export async function runGetLoad(load: GetLoad, scratch: string): Promise<GetResult> {
  return load.method === 'GET' ? await runWrk(load, scratch) : await runHey(load);
}

async function runWrk(load: GetLoad, scratch: string): Promise<GetResult> {
  const script = path.join(scratch, 'wrk.lua');
  writeFileSync(script, wrkScript(load.paths));
  const output = await runSuccessfully(requireTool('wrk'), [
    '--threads',
    '1',
    '--connections',
    String(load.connections),
    '--duration',
    `${load.seconds}s`,
    '--timeout',
    '30s',
    '--script',
    script,
    load.url,
  ]);
  const line = output.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`wrk printed no result:\n${output}`);
  return JSON.parse(line) as GetResult;
}

/** wrk waits for the body of the answer to a HEAD that never comes; hey does not, but cannot vary the path. */
async function runHey(load: GetLoad): Promise<GetResult> {
  const [first = ''] = load.paths;
  const output = await runSuccessfully(requireTool('hey'), [
    '-m',
    'HEAD',
    '-z',
    `${load.seconds}s`,
    '-c',
    String(load.connections),
    '-cpus',
    '1',
    '-A',
    ACCEPT,
    `${load.url}${first}`,
  ]);
  const find = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? 0);
  const requests = find(/\[200\]\s+(\d+) responses/);
  const all = [...output.matchAll(/\[\d+\]\s+(\d+) responses/g)];
  const errors = output.includes('Error distribution:') ? 1 : 0;
  return {
    requests,
    seconds: find(/Total:\s+([\d.]+) secs/),
    p50Ms: find(/50% in ([\d.]+) secs/) * 1000,
    p99Ms: find(/99% in ([\d.]+) secs/) * 1000,
    failures: all.reduce((sum, [, count]) => sum + Number(count), 0) - requests + errors,
  };
}

function wrkScript(paths: readonly string[]): string {
  const list = paths.map((text) => `"${text}"`).join(',\n');
  return `
local paths = {${list}}
local requests = {}
function init(args)
  math.randomseed(20000)
  for i, path in ipairs(paths) do
    requests[i] = wrk.format("GET", path, { ["Host"] = wrk.host, ["Accept"] = "${ACCEPT}" })
  end
end
function request() return requests[math.random(#requests)] end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"failures":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
`;
}
