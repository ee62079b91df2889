import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export interface ReverseProxy {
  readonly url: string;
  stop(): Promise<void>;
}

/** The proxy as operators put it before a registry: streams both ways, keeps connections to the registry open. */
export async function startProxy(
  kind: 'haproxy' | 'nginx',
  targetPort: number,
): Promise<ReverseProxy> {
  const port = await freePort();
  const folder = makeTempFolder(kind);
  const file = path.join(folder, `${kind}.conf`);
  writeFileSync(
    file,
    kind === 'haproxy' ? haproxy(port, targetPort) : nginx(port, targetPort, folder),
  );
  const running = await startProcess({
    name: kind,
    command: requireTool(kind),
    args: kind === 'haproxy' ? ['-db', '-f', file] : ['-p', folder, '-c', file, '-e', 'stderr'],
    cwd: folder,
    isReady: () => canConnect(port),
  });
  return {
    url: `http://127.0.0.1:${port}`,
    stop: async () => {
      await running.stop();
      await removeTempFolder(folder);
    },
  };
}

const haproxy = (port: number, targetPort: number): string => `
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend registry
  bind 127.0.0.1:${port}
  default_backend twinport
backend twinport
  server one 127.0.0.1:${targetPort}
`;

const nginx = (port: number, targetPort: number, folder: string): string => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_max_body_size 0;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  upstream twinport {
    server 127.0.0.1:${targetPort};
    keepalive 8;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://twinport;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_buffering off;
    }
  }
}
`;

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
