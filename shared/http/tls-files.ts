import { readFile } from 'node:fs/promises';

export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface TlsContext {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export async function readTlsFiles(files: TlsFiles): Promise<TlsContext> {
  const [cert, key] = await Promise.all([readFile(files.certificateFile), readFile(files.keyFile)]);
  return { cert, key };
}

export interface TlsWatch {
  close(): void;
}

export interface TlsWatchOptions {
  readonly files: TlsFiles;
  readonly current: TlsContext;
  readonly intervalMs: number;
  /** Takes the new pair; throws when the two do not belong together. */
  readonly apply: (context: TlsContext) => void;
  /** A pair that cannot be read or applied; the one in use stays. Told once for each new content or message. */
  readonly onProblem: (error: unknown) => void;
}

/**
 * Reads the files again every `intervalMs` and applies what changed. Reading contents, rather than watching, also
 * sees the symbolic links that Kubernetes swaps under a mounted secret, and a pair caught between two writes is simply
 * read again.
 */
export function watchTlsFiles(options: TlsWatchOptions): TlsWatch {
  let seen = options.current;
  let lastProblem = '';
  let isReading = false;

  const poll = async (): Promise<void> => {
    if (isReading) return;
    isReading = true;
    try {
      const next = await readTlsFiles(options.files);
      if (next.cert.equals(seen.cert) && next.key.equals(seen.key)) return;
      options.apply(next);
      seen = next;
      lastProblem = '';
    } catch (error) {
      const problem = String(error);
      if (problem !== lastProblem) options.onProblem(error);
      lastProblem = problem;
    } finally {
      isReading = false;
    }
  };

  const timer = setInterval(() => void poll(), options.intervalMs);
  return { close: () => clearInterval(timer) };
}
