import { generateKeyPairSync, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage } from 'node:http';

import type { CertificatePair } from './certificate-authority.ts';

export interface TokenServiceOptions {
  /** An address of the loopback network. */
  readonly host: string;
  readonly port: number;
  readonly tls: CertificatePair;
  readonly issuer: string;
  /** Passwords by user. A user may pull private repositories below its own name. */
  readonly users: Readonly<Record<string, string>>;
  isPrivate(repository: string): boolean;
}

export interface TokenService {
  /** For those who check its tokens. */
  readonly jwks: object;
  stop(): Promise<void>;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

const KEY_ID = 'test-key';
const LIFE_SECONDS = 300;

/**
 * Docker's token service over TLS, by GET and by POST: anybody gets tokens to pull what is public, users what is theirs.
 * Who gives a wrong password is refused; who asks for too much gets a token for less, as Docker Hub does.
 */
export async function startTokenService(options: TokenServiceOptions): Promise<TokenService> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const toToken = (user: string, audience: string, access: readonly Access[]): string => {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: options.issuer,
      sub: user,
      aud: audience,
      exp: now + LIFE_SECONDS,
      nbf: now - 10,
      iat: now,
      jti: randomUUID(),
      access,
    };
    const unsigned = [{ typ: 'JWT', alg: 'ES256', kid: KEY_ID }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(unsigned), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    });
    return `${unsigned}.${signature.toString('base64url')}`;
  };

  const server = createServer(
    { cert: readFileSync(options.tls.certificateFile), key: readFileSync(options.tls.keyFile) },
    (request, response) => {
      const answer = (status: number, body: object): void => {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(body));
      };
      readQuestion(request).then(
        ({ parameters, login }) => {
          if (login && options.users[login.user] !== login.password) {
            answer(401, { details: 'incorrect username or password' });
            return;
          }
          const user = login?.user ?? '';
          const access = grant(parameters.getAll('scope'), user, options);
          const token = toToken(user, parameters.get('service') ?? '', access);
          answer(200, { token, access_token: token, expires_in: LIFE_SECONDS });
        },
        () => answer(400, {}),
      );
    },
  );
  await listen(server, options);
  return {
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'ES256' }] },
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

interface Question {
  readonly parameters: URLSearchParams;
  readonly login: { readonly user: string; readonly password: string } | undefined;
}

async function readQuestion(request: IncomingMessage): Promise<Question> {
  if (request.method === 'POST') {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const parameters = new URLSearchParams(body);
    const user = parameters.get('username');
    const login = user === null ? undefined : { user, password: parameters.get('password') ?? '' };
    return { parameters, login };
  }
  const parameters = new URL(request.url ?? '/', 'https://token-service').searchParams;
  const basic = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (basic === undefined) return { parameters, login: undefined };
  const [user = '', ...password] = Buffer.from(basic, 'base64').toString().split(':');
  return { parameters, login: { user, password: password.join(':') } };
}

function grant(scopes: readonly string[], user: string, options: TokenServiceOptions): Access[] {
  const granted: Access[] = [];
  for (const scope of scopes.flatMap((words) => words.split(' '))) {
    const [type = '', name = '', actions = ''] = scope.split(':');
    const isEntitled = !options.isPrivate(name) || name.startsWith(`${user}/`);
    if (isEntitled && actions.split(',').includes('pull')) {
      granted.push({ type, name, actions: ['pull'] });
    }
  }
  return granted;
}

async function listen(server: Server, { host, port }: TokenServiceOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}
