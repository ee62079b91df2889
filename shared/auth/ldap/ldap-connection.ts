import net from 'node:net';
import tls from 'node:tls';

import { Client, type Entry, type SearchOptions } from 'ldapts';

import type { LdapConfig } from './ldap-config.ts';

/**
 * One connection to a directory for one sign-in. It is encrypted before the first bind wherever the configuration says
 * so, never opened a second time (ldapts would reconnect by itself, and without StartTLS), and gone without a trace
 * once the signal aborts or `close` was called. Referrals are not followed. Throws what ldapts throws.
 */
export class LdapConnection {
  readonly #config: LdapConfig;
  readonly #client: Client;
  readonly #signal: AbortSignal;
  readonly #close: () => void;
  #socket: net.Socket | undefined;

  constructor(config: LdapConfig, signal: AbortSignal) {
    this.#config = config;
    this.#signal = signal;
    const { scheme, host, port } = config.url;
    this.#client = new Client({
      url: `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`,
      strictDN: false,
      createConnection: () => this.#own(() => net.connect({ host, port })),
      createSecureConnection: (...args: unknown[]) =>
        this.#isUpgrade(args)
          ? tls.connect(args[0])
          : this.#own(() => tls.connect({ ...this.#tlsOptions(), host, port })),
    });
    this.#close = () => {
      this.close();
    };
    signal.addEventListener('abort', this.#close);
  }

  async secure(): Promise<void> {
    if (this.#config.startTls) await this.#unlessAborted(this.#client.startTLS(this.#tlsOptions()));
  }

  async bind(dn: string, password: string): Promise<void> {
    await this.#unlessAborted(this.#client.bind(dn, password));
  }

  async search(base: string, options: SearchOptions): Promise<readonly Entry[]> {
    const answer = this.#client.search(base, { derefAliases: 'never', ...options });
    return (await this.#unlessAborted(answer)).searchEntries;
  }

  /** Idempotent. The directory sees the connection end, which is what an unbind says, too. */
  close(): void {
    this.#signal.removeEventListener('abort', this.#close);
    this.#socket?.destroy();
  }

  #own<Socket extends net.Socket>(open: () => Socket): Socket {
    if (this.#socket) throw new Error('the directory closed the connection');
    const socket = open();
    this.#socket = socket;
    // ldapts takes its listeners away in the midst of things; an error of a socket nobody waits for ends no process.
    socket.on('error', () => undefined);
    return socket;
  }

  #isUpgrade(args: readonly unknown[]): args is [tls.ConnectionOptions] {
    return typeof args[0] === 'object';
  }

  #tlsOptions(): tls.ConnectionOptions {
    const { certificateAuthorities, url } = this.#config;
    return {
      host: url.host,
      ...(net.isIP(url.host) === 0 ? { servername: url.host } : {}),
      ...(certificateAuthorities === undefined ? {} : { ca: certificateAuthorities }),
    };
  }

  async #unlessAborted<Value>(work: Promise<Value>): Promise<Value> {
    // A promise of ldapts may stay open for good once its socket is gone.
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(this.#signal.reason as Error);
    aborted.promise.catch(() => undefined);
    work.catch(() => undefined);
    this.#signal.addEventListener('abort', abort, { once: true });
    try {
      this.#signal.throwIfAborted();
      return await Promise.race([work, aborted.promise]);
    } finally {
      this.#signal.removeEventListener('abort', abort);
    }
  }
}
