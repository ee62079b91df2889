import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';

import type { CertificatePair } from './certificate-authority.ts';

export interface TokenServiceOptions {
  /** An address of the loopback network. */
  readonly host: string;
  readonly port: number;
  /** Without it, plain HTTP. */
  readonly tls?: CertificatePair;
  readonly issuer: string;
  /** Signs as docker_auth does: with the key (P-256) of a certificate, whose id libtrust has made. */
  readonly signsWith?: CertificatePair;
  /** Passwords by user. */
  readonly users: Readonly<Record<string, string>>;
  /** Asked at each request, for each action; the user is empty for anybody. */
  mayDo(user: string, repository: string, action: string): boolean;
}

export interface TokenService {
  /** `/token` and `/jwks.json` lie below. */
  readonly url: string;
  /** For those who check its tokens. */
  readonly jwks: object;
  /** The users in whose names somebody asked for a token, with whatever password. */
  readonly claimedUsers: readonly string[];
  stop(): Promise<void>;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

const LIFE_SECONDS = 300;

/**
 * Docker's token service, by GET and by POST. Who gives a wrong password is refused; who asks for too much gets a token for
 * less, as Docker Hub does.
 */
export async function startTokenService(options: TokenServiceOptions): Promise<TokenService> {
  const { privateKey, publicKey, keyId } = signingKey(options.signsWith);
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
    const unsigned = [{ typ: 'JWT', alg: 'ES256', kid: keyId }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(unsigned), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    });
    return `${unsigned}.${signature.toString('base64url')}`;
  };

  const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: keyId, alg: 'ES256' }] };
  const claimedUsers: string[] = [];
  const issue = ({ parameters, login }: Question, answer: Answer): void => {
    if (login) claimedUsers.push(login.user);
    if (login && options.users[login.user] !== login.password) {
      answer(401, { details: 'incorrect username or password' });
      return;
    }
    const user = login?.user ?? '';
    const access = grant(parameters.getAll('scope'), user, options);
    const token = toToken(user, parameters.get('service') ?? '', access);
    answer(200, { token, access_token: token, expires_in: LIFE_SECONDS });
  };
  const server = createServerFor(options, (request, response) => {
    const answer = answerOf(response);
    if (request.url === '/jwks.json') answer(200, jwks);
    else
      readQuestion(request).then(
        (question) => issue(question, answer),
        () => answer(400, {}),
      );
  });
  await listen(server, options);
  return {
    url: `${options.tls ? 'https' : 'http'}://${options.host}:${options.port}`,
    jwks,
    claimedUsers,
    stop: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly keyId: string;
}

function signingKey(pair: CertificatePair | undefined): SigningKey {
  if (!pair) return { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }), keyId: 'test-key' };
  const privateKey = createPrivateKey(readFileSync(pair.keyFile));
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, keyId: libtrustId(publicKey) };
}

/** The first 240 bits of the key's SHA-256 in base32, in groups of four. */
function libtrustId(key: KeyObject): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const hash = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest();
  const bits = [...hash.subarray(0, 30)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const letters = (bits.match(/.{5}/g) ?? []).map((five) => alphabet[parseInt(five, 2)]).join('');
  return (letters.match(/.{4}/g) ?? []).join(':');
}

type Answer = (status: number, body: object) => void;

const answerOf =
  (response: ServerResponse): Answer =>
  (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };

function createServerFor({ tls }: TokenServiceOptions, listener: RequestListener): Server {
  if (!tls) return createServer(listener);
  const pair = { cert: readFileSync(tls.certificateFile), key: readFileSync(tls.keyFile) };
  return createTlsServer(pair, listener);
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
    const [type = '', name = '', asked = ''] = scope.split(':');
    const actions = asked.split(',').filter((action) => options.mayDo(user, name, action));
    if (actions.length > 0) granted.push({ type, name, actions });
  }
  return granted;
}

async function listen(server: Server, { host, port }: TokenServiceOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}
