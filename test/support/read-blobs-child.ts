/**
 * `node read-blobs-child.ts <file> <url>…`: reads every URL at once, each over a connection of its own, prints `begun` when all
 * have been answered, and ends with 0 when all of them gave the bytes of the file. A process apart from the test, whose
 * servers would starve beside so many readers.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';

async function open(url: string): Promise<IncomingMessage> {
  const outgoing = get(url, { agent: false });
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`${url}: status ${response.statusCode}`);
  return response;
}

async function read(response: IncomingMessage, expected: Buffer): Promise<void> {
  let position = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (!chunk.equals(expected.subarray(position, position + chunk.length))) {
      throw new Error(`wrong bytes at ${position}`);
    }
    position += chunk.length;
  }
  if (position !== expected.length) throw new Error(`ended at ${position}`);
}

const [file = '', ...urls] = process.argv.slice(2);
const expected = readFileSync(file);
const responses = await Promise.all(urls.map(open));
console.log('begun');
await Promise.all(responses.map((response) => read(response, expected)));
