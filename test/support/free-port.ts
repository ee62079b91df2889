import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';

import { runFolder } from './run-folder.ts';

const FIRST = 20_000;
const LAST = 32_000;

/**
 * A loopback port that nobody uses, claimed for this test run, or the first of so many in a row. They lie below the range
 * from which the system takes the local ports of outgoing connections, so that none of those takes one before the server
 * that wants it listens.
 */
export async function freePort(inARow = 1): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt += 1) {
    const first = FIRST + Math.floor(Math.random() * (LAST - FIRST - inARow));
    const row = Array.from({ length: inARow }, (_, place) => first + place);
    if (row.every(claim) && (await areFree(row))) return first;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST}`);
}

async function areFree(ports: readonly number[]): Promise<boolean> {
  return (await Promise.all(ports.map(canListen))).every(Boolean);
}

function claim(port: number): boolean {
  try {
    writeFileSync(path.join(runFolder(), 'ports', String(port)), '', { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
