import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';

import { describeWithTools } from '../support/describe-with-tools.ts';
import { freePort } from '../support/free-port.ts';
import { OwnedServers } from '../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../support/registry-process.ts';
import { runSuccessfully } from '../support/run-command.ts';
import { startRedis } from '../support/start-redis.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { waitFor } from '../support/wait-for.ts';

/** Files that the process may open beyond those that it has. */
const SPARE_FILES = 4;
const CONNECTIONS = 24;

describeWithTools(['redis-server'], 'a mirror that may open no more files', () => {
  const servers = new OwnedServers();
  const sockets: Socket[] = [];
  let mirror: TwinportProcess;
  let ports: Record<'clients' | 'metrics' | 'other mirrors', number>;

  beforeAll(async () => {
    const redis = await servers.own(startRedis());
    const internalPort = await freePort();
    mirror = await servers.own(
      startTwinport({
        role: 'mirror',
        storage: { dataDir: makeTempFolder('data') },
        redisUrl: redis.url,
        env: {
          INTERNAL_URL: `http://127.0.0.1:${internalPort}`,
          INTERNAL_PORT: String(internalPort),
        },
      }),
    );
    ports = {
      clients: mirror.port,
      metrics: Number(new URL(mirror.metricsUrl).port),
      'other mirrors': internalPort,
    };
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await allowFiles(1_024);
  });
  afterAll(() => servers.stopAll());

  const allowFiles = (files: number): Promise<string> =>
    runSuccessfully('prlimit', ['--pid', String(mirror.pid), `--nofile=${files}:`]);

  test.each(['clients', 'metrics', 'other mirrors'] as const)(
    'lives on when a connection to the port for %s cannot be accepted, and answers when there is room',
    async (port) => {
      let refused = 0;
      await allowFiles(readdirSync(`/proc/${mirror.pid}/fd`).length + SPARE_FILES);
      for (let opened = 0; opened < CONNECTIONS; opened += 1) {
        const socket = connect(ports[port], '127.0.0.1').on('error', () => undefined);
        sockets.push(socket.once('close', () => (refused += 1)));
        await once(socket, 'connect');
      }
      await waitFor(() => refused > 0, { what: 'a connection that is not accepted' });
      for (const socket of sockets) socket.destroy();
      await allowFiles(1_024);
      await waitFor(async () => (await fetch(`${mirror.metricsUrl}/readyz`)).status === 200, {
        what: 'the mirror to be ready',
      });
      expect((await fetch(`${mirror.url}/v2/`)).status).toBe(200);
    },
  );
});
