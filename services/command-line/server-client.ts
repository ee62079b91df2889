import { MANIFEST_ACCEPT } from '../../shared/oci/media-types.ts';
import type { PullReference } from '../../shared/oci/pull-reference.ts';
import { CommandError } from './command.ts';

/** A server that takes longer to begin an answer does not work. */
const HEADERS_MS = 60_000;

/** Requests of a command to a running server. */
export class ServerClient {
  readonly #server: URL;
  readonly #signal: AbortSignal;

  constructor(server: URL, signal: AbortSignal) {
    this.#server = server;
    this.#signal = signal;
  }

  /** A GET of the distribution API, redirects not followed. Throws what a person should read when nobody answers. */
  async get(
    { name, namespace }: Omit<PullReference, 'reference'>,
    below: string,
  ): Promise<Response> {
    const url = new URL(`/v2/${name}/${below}`, this.#server);
    if (namespace !== undefined) url.searchParams.set('ns', namespace);
    return this.send(url);
  }

  async send(url: URL | string): Promise<Response> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), HEADERS_MS);
    try {
      return await fetch(new URL(url, this.#server), {
        headers: { accept: MANIFEST_ACCEPT },
        redirect: 'manual',
        signal: AbortSignal.any([this.#signal, late.signal]),
      });
    } catch (error) {
      this.#signal.throwIfAborted();
      throw new CommandError(`${this.#server.host} cannot be asked`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The value of `--server`. */
export function requireServer(value: string | undefined): URL {
  const url = value === undefined ? null : URL.parse(value);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new CommandError(
    'name the server to ask by --server, with its scheme: --server http://mirror.example:5001',
  );
}

/** What a server says of a refusal, in its own words where it has any. */
export async function describeRefusal(response: Response): Promise<string> {
  const text = await response.text().catch(() => '');
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: string; message?: string }[] };
    const [first] = errors ?? [];
    if (first?.message !== undefined)
      return `${response.status} ${first.code ?? ''}: ${first.message}`;
  } catch {
    // Another kind of answer: its status says enough.
  }
  return `${response.status} ${response.statusText}`.trim();
}
