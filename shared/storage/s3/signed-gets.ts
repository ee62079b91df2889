import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';

import { escapeName, requestText } from '../../plain-http/request-text.ts';
import { type Endpoint, endpointOf } from './store-socket.ts';

type Signer = Awaited<ReturnType<S3Client['config']['signer']>>;

/** A request as it goes over the wire, and where to. */
export interface SignedGet {
  readonly endpoint: Endpoint;
  readonly text: string;
}

/** What all GETs of one bucket have in common. */
interface Manner {
  readonly endpoint: Endpoint;
  readonly request: Omit<SdkRequest, 'path'>;
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
 * GETs of a bucket's objects, signed by the SDK's own signer with its credentials and its clock. Where they go is
 * learned from the SDK once, by a GetObject that is built and not sent.
 */
export class SignedGets {
  readonly #client: S3Client;
  readonly #bucket: string;
  #manner: Promise<Manner | undefined> | undefined;

  constructor(client: S3Client, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
  }

  /** Undefined: the bucket is one whose requests are signed in another way. Rejects when there are no credentials. */
  async sign(key: string): Promise<SignedGet | undefined> {
    const manner = await this.#known();
    if (!manner) return undefined;
    const { endpoint, root, signer, region, service } = manner;
    const request = { ...manner.request, path: root + escapePath(key) };
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
    const { method, protocol, hostname, port, path } = request;
    if (scheme?.name !== 'sigv4' || !path.endsWith(`/${SAMPLE_KEY}`)) return undefined;
    const host = hostname + (port === undefined ? '' : `:${port}`);
    return {
      endpoint: endpointOf(request),
      request: {
        method,
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
