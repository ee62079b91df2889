/** An account at an upstream: a password as it stands, a file that holds it, or a program that is asked for it. */
export type UpstreamCredential =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** Read again when it changes. */
  | { readonly kind: 'file'; readonly username: string; readonly passwordFile: string }
  | {
      readonly kind: 'helper';
      /** Program and arguments; run without a shell. */
      readonly command: readonly [string, ...string[]];
      /** For a program that tells the password alone. */
      readonly username: string | undefined;
      /** How long its answer is good for. */
      readonly lifetimeSeconds: number;
    };

/** One registry behind the mirror. Units are in the names. */
export interface UpstreamConfig {
  /** First segment under which its repositories are cached, `repositories/<project>/…`. */
  readonly project: string;
  /** Scheme and host, without a slash at its end. */
  readonly url: string;
  /** Prefixes and `ns` values that name it, its own host included. */
  readonly hosts: readonly string[];
  readonly credentials: readonly UpstreamCredential[];
  /** Hosts, with their port unless it is 443, whose token service may be given the credentials; empty: by the url's owner. */
  readonly authHosts: readonly string[];
  /** Certificates of authorities that are trusted besides the usual ones, PEM. */
  readonly caFile: string | undefined;
  readonly clientCertificateFile: string | undefined;
  readonly clientKeyFile: string | undefined;
  /** Certificates are not checked, and credentials may travel over plain http. */
  readonly insecure: boolean;
  /** The HTTP proxy on the way to it; undefined: what the environment names (HTTPS_PROXY, HTTP_PROXY, NO_PROXY). */
  readonly proxyUrl: string | undefined;
  /** Patterns of repositories at the upstream, `*` for any characters; empty: all. */
  readonly allow: readonly string[];
  /** Wins over `allow`. */
  readonly deny: readonly string[];
  /** A cached tag is compared with the upstream again after this long. */
  readonly tagTtlSeconds: number;
  /** A tag that could not be confirmed for longer is not served; undefined: it always is. */
  readonly maxStaleSeconds: number | undefined;
  /** What becomes of a held tag that the upstream has no more. */
  readonly onDeletedTag: 'drop' | 'keep';
  /** Its HEAD 200 for a digest lets stored bytes be shared. */
  readonly trusted: boolean;
  /** It is spoken to at public addresses alone: who named it is not who runs this mirror. */
  readonly isGuarded?: boolean;
  /**
   * `shared`: every reader of this mirror may read what its credentials may. `pass-through`: those may whom the project of
   * its name lets pull, and nothing of it is stored.
   */
  readonly private: 'refuse' | 'shared' | 'pass-through';
  /** Connections to it at once; undefined: no limit. */
  readonly maxConnections: number | undefined;
  /** Undefined: no limit. */
  readonly requestsPerSecond: number | undefined;
  /** How long a proof that a repository is public (or shared) holds before it is asked for again. */
  readonly proofTtlSeconds: number;
  /** What its cached content may take in the store; undefined: no budget of its own. */
  readonly cacheBytes: number | undefined;
  /** Platforms that are fetched as soon as an image index is pulled, for example `linux/amd64`. */
  readonly prefetchPlatforms: readonly string[];
  /** Images up to this size are completed in the background; 0: none. */
  readonly completeBytes: number;
}
