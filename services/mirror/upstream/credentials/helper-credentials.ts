import { execFile, type ExecException } from 'node:child_process';

import { z } from 'zod';

import { SingleFlight, waitFor } from '../../../../shared/concurrency/single-flight.ts';
import type { Clock } from '../../../../shared/lifecycle/clock.ts';
import type { Credentials, CredentialSource } from './credential-source.ts';

export interface HelperSettings {
  readonly command: readonly [string, ...string[]];
  /** For a program that tells the password alone. */
  readonly username: string | undefined;
  readonly lifetimeSeconds: number;
}

export interface HelperDependencies {
  /** Written to the program's standard input, as docker writes it to its credential helpers. */
  readonly server: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** This much of a life is used before the program is asked again; what is left bridges a program that fails. */
const USED_SHARE = 0.8;
/** A program that failed, or whose answer was refused, is left alone for this long. */
const PAUSE_MS = 30_000;
/** What docker's helpers call the user of an identity token, which is no password. */
const IDENTITY_TOKEN_USER = '<token>';

/** The answer of docker's credential helpers. */
const helperAnswer = z.object({ Username: z.string().optional(), Secret: z.string().min(1) });

interface Kept {
  readonly credentials: Credentials;
  readonly renewAtMs: number;
  readonly expiresAtMs: number;
}

/**
 * An account that a program tells: `{"Username": …, "Secret": …}` as docker's credential helpers do, or the password
 * alone. It runs without a shell, for a limited time, with a limited output that appears in no log.
 */
export class HelperCredentials implements CredentialSource {
  readonly name: string;
  readonly #settings: HelperSettings;
  readonly #dependencies: HelperDependencies;
  readonly #flight = new SingleFlight<Credentials | undefined>();
  #kept: Kept | undefined;
  #pausedUntilMs = -Infinity;
  #droppedAtMs = -Infinity;
  #problem: string | undefined;

  constructor(name: string, settings: HelperSettings, dependencies: HelperDependencies) {
    this.name = name;
    this.#settings = settings;
    this.#dependencies = dependencies;
  }

  current(signal: AbortSignal): Promise<Credentials | undefined> {
    const nowMs = this.#dependencies.clock.monotonicMs();
    const kept = this.#kept && nowMs < this.#kept.expiresAtMs ? this.#kept : undefined;
    const isDue = !kept || nowMs >= kept.renewAtMs;
    if (!isDue || nowMs < this.#pausedUntilMs) return Promise.resolve(kept?.credentials);
    return waitFor(
      this.#flight.run('', async () => (await this.#ask()) ?? kept?.credentials),
      signal,
    );
  }

  refused(): void {
    const nowMs = this.#dependencies.clock.monotonicMs();
    if (nowMs - this.#droppedAtMs < PAUSE_MS) return;
    this.#droppedAtMs = nowMs;
    this.#kept = undefined;
  }

  problem(): string | undefined {
    return this.#problem;
  }

  async #ask(): Promise<Credentials | undefined> {
    const { clock } = this.#dependencies;
    const result = await this.#run();
    if (typeof result === 'string') {
      this.#problem = `the program ${this.#settings.command[0]} ${result}`;
      this.#pausedUntilMs = clock.monotonicMs() + PAUSE_MS;
      return undefined;
    }
    const lifeMs = this.#settings.lifetimeSeconds * 1000;
    const nowMs = clock.monotonicMs();
    this.#problem = undefined;
    this.#kept = {
      credentials: result,
      renewAtMs: nowMs + lifeMs * USED_SHARE,
      expiresAtMs: nowMs + lifeMs,
    };
    return result;
  }

  /** The account, or what the program did instead. */
  #run(): Promise<Credentials | string> {
    const [program, ...args] = this.#settings.command;
    const { server, timeoutMs = TIMEOUT_MS } = this.#dependencies;
    return new Promise((resolve) => {
      const child = execFile(
        program,
        args,
        {
          timeout: timeoutMs,
          killSignal: 'SIGKILL',
          maxBuffer: MAX_OUTPUT_BYTES,
          encoding: 'utf8',
        },
        (error, output) => {
          resolve(error ? failureText(error, timeoutMs) : this.#read(output));
        },
      );
      child.stdin?.on('error', () => undefined).end(`${server}\n`);
    });
  }

  #read(output: string): Credentials | string {
    const text = output.trim();
    const answer = helperAnswer.safeParse(parseJson(text)).data;
    const password = answer ? answer.Secret : text;
    const username = answer?.Username ?? this.#settings.username;
    if (username === IDENTITY_TOKEN_USER) return 'told an identity token in place of a password';
    if (username === undefined || username === '') {
      return 'told no user name, and none is configured';
    }
    if (password === '' || /\p{Cc}/u.test(password)) return 'told nothing that can be a password';
    return { username, password };
  }
}

/** Never the program's output: it may hold secrets. */
function failureText({ code, killed }: ExecException, timeoutMs: number): string {
  if (code === 'ENOENT') return 'is not installed';
  if (code === 'EACCES') return 'may not be run';
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return 'told too much';
  if (killed) return `did not end within ${timeoutMs / 1000} seconds`;
  return typeof code === 'number' ? `ended with ${code}` : 'failed';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
