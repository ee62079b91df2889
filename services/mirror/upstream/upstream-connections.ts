import type { UpstreamConfig } from '../../../shared/config/upstream-config.ts';
import type { Clock } from '../../../shared/lifecycle/clock.ts';
import type { Observer } from '../../../shared/observability/observer.ts';
import { type ExchangeDeadlines, HttpExchange } from './http-exchange.ts';
import type { Outcome } from './outcome.ts';
import { TokenCache } from './token-cache.ts';
import type { Identity } from './token-service.ts';
import { UpstreamClient } from './upstream-client.ts';
import { type Upstream, withFallback } from './with-fallback.ts';

/** The two ways to ask an upstream. */
export interface UpstreamConnection {
  /** As anybody: what this one is given may be given to anybody. */
  readonly anonymous: Upstream;
  /** With the configured account, as anybody where that is refused. Undefined where none is configured. */
  readonly configured: Upstream | undefined;
}

export interface UpstreamConnectionsOptions {
  readonly upstreams: readonly UpstreamConfig[];
  readonly clock: Clock;
  readonly observer: Observer;
  /** Ends what is shared among requests. */
  readonly lifetime: AbortSignal;
  readonly deadlines?: ExchangeDeadlines;
}

/** The configured upstreams, by project. Nothing is dialled before the first request. */
export class UpstreamConnections {
  readonly #exchange: HttpExchange;
  readonly #byProject: ReadonlyMap<string, UpstreamConnection>;
  readonly #faults = new Map<string, string>();
  readonly #refusedAccounts = new Set<string>();

  constructor(options: UpstreamConnectionsOptions) {
    const { upstreams, clock, observer, lifetime, deadlines } = options;
    const exchange = new HttpExchange(observer, deadlines);
    const connect = (config: UpstreamConfig): UpstreamConnection => {
      const upstream = new URL(config.url.endsWith('/') ? config.url : `${config.url}/`);
      const tokens = new TokenCache(clock);
      const onOutcome = (outcome: Outcome<unknown>): void => {
        if (outcome.kind === 'unavailable') this.#faults.set(config.project, outcome.detail);
        else this.#faults.delete(config.project);
      };
      const as = (identity: Identity): UpstreamClient =>
        new UpstreamClient({ exchange, upstream, identity, tokens, clock, lifetime, onOutcome });
      const anonymous = as({ kind: 'anonymous' });
      const credential = config.credentials.find(({ kind }) => kind === 'password');
      if (credential?.kind !== 'password') return { anonymous, configured: undefined };
      const account = as({ ...credential, kind: 'configured' });
      const onAccount = (isRefused: boolean): void => {
        if (isRefused) this.#refusedAccounts.add(config.project);
        else this.#refusedAccounts.delete(config.project);
      };
      return { anonymous, configured: withFallback(account, anonymous, onAccount) };
    };
    this.#exchange = exchange;
    this.#byProject = new Map(upstreams.map((config) => [config.project, connect(config)]));
  }

  to(upstream: UpstreamConfig): UpstreamConnection {
    const connection = this.#byProject.get(upstream.project);
    if (!connection) throw new Error(`no connection to the upstream ${upstream.project}`);
    return connection;
  }

  /** A sentence for each upstream whose last request found it unreachable, or that refused the configured account. */
  degraded(): readonly string[] {
    return [
      ...[...this.#faults].map(([project, detail]) => `upstream ${project}: ${detail}`),
      ...[...this.#refusedAccounts].map(
        (project) =>
          `upstream ${project}: the configured account is refused (UPSTREAM_USERNAME, UPSTREAM_PASSWORD); it is asked as anybody`,
      ),
    ];
  }

  async close(): Promise<void> {
    await this.#exchange.close();
  }
}
