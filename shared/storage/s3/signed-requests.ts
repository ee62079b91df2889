import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';

import type { PlainMethod } from '../../plain-http/plain-head.ts';
import { escapeName, requestText } from '../../plain-http/request-text.ts';
import { type Endpoint, endpointOf } from './store-socket.ts';

type Signer = Awaited<ReturnType<S3Client['config']['signer']>>;

/** What is asked of one object. */
export interface ObjectRequest {
  readonly method: PlainMethod;
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Beyond those that every request has; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The head of a request as it goes over the wire, and where to. */
export interface SignedRequest {
  readonly endpoint: Endpoint;
  readonly text: string;
}

/** What all requests of one bucket have in common. */
interface Manner {
  readonly endpoint: Endpoint;
  readonly request: Omit<SdkRequest, 'path' | 'method'>;
  /** Before the key. */
  readonly root: string;
  readonly signer: Signer;
  readonly region: string;
  readonly service: string;
}

interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface AuthScheme {
  readonly name: string;
  readonly signingName: string;
  readonly signingRegion: string;
}

const SAMPLE_KEY = 'key';

/**
 * Requests for a bucket's objects, signed by the SDK's own signer with its credentials and its clock. Where they go is
 * learned from the SDK once, by a GetObject that is built and not sent.
 */
export class SignedRequests {
  readonly #client: S3Client;
  readonly #bucket: string;
  #manner: Promise<Manner | undefined> | undefined;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** Undefined: the bucket is one whose requests are signed in another way. Rejects when there are no credentials. */
  async sign(asked: ObjectRequest): Promise<SignedRequest | undefined> {
    const manner = await this.#known();
    if (!manner) return undefined;
    const { endpoint, root, signer, region, service } = manner;
    const { method, key, query = {}, headers } = asked;
    const request = {
      ...manner.request,
      method,
      path: root + escapePath(key),
      query,
      headers: { ...manner.request.headers, ...headers },
    };
    const signingDate = new Date(Date.now() + this.#client.config.systemClockOffset);
    const options = { signingDate, signingRegion: region, signingService: service };
    const signed = await signer.sign(request, options);
    return { endpoint, text: requestText(signed) };
  }

  #known(): Promise<Manner | undefined> {
    this.#manner ??= this.#learn().catch((error: unknown) => {
      this.#manner = undefined;
      throw error;
    });
    return this.#manner;
  }

  async #learn(): Promise<Manner | undefined> {
    const { request, scheme } = await this.#sample();
    const { protocol, hostname, port, path } = request;
    if (scheme?.name !== 'sigv4' || !path.endsWith(`/${SAMPLE_KEY}`)) return undefined;
    const host = hostname + (port === undefined ? '' : `:${port}`);
    return {
      endpoint: endpointOf(request),
      request: {
        protocol,
        hostname,
        ...(port === undefined ? {} : { port }),
        headers: { host, 'user-agent': 'twinport' },
      },
      root: path.slice(0, -SAMPLE_KEY.length),
      signer: await this.#client.config.signer(scheme as never),
      region: scheme.signingRegion,
      service: scheme.signingName,
    };
  }

  /** What the SDK would send, before it is signed. */
  async #sample(): Promise<{ request: SdkRequest; scheme: AuthScheme | undefined }> {
    const sample = Promise.withResolvers<{ request: SdkRequest; scheme: AuthScheme | undefined }>();
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: SAMPLE_KEY });
    command.middlewareStack.add(
      (_next, context) => (args) => {
        const schemes: unknown = context.endpointV2?.properties?.authSchemes;
        const [scheme] = Array.isArray(schemes) ? (schemes as AuthScheme[]) : [];
        sample.resolve({ request: args.request as SdkRequest, scheme });
        return Promise.resolve({ output: { $metadata: {} }, response: undefined });
      },
      // Before anything that asks the store for a session, or a provider for credentials.
      { step: 'build', priority: 'high' },
    );
    await this.#client.send(command);
    return await sample.promise;
  }
}

/** As the SDK escapes keys. */
const escapePath = (key: string): string => key.split('/').map(escapeName).join('/');
