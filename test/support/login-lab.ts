import { CliPasswords } from '../../shared/management/cli-passwords.ts';
import { systemClock } from '../../shared/lifecycle/clock.ts';
import { FilesystemRecordStore } from '../../shared/storage/filesystem/filesystem-record-store.ts';
import { commandLine } from './command-line.ts';
import { freePort } from './free-port.ts';
import type { OwnedServers } from './owned-servers.ts';
import { startTwinport, type TwinportProcess } from './registry-process.ts';
import { makeTempFolder } from './temp-folder.ts';

/** What is typed at a `login`. */
export interface Account {
  readonly username: string;
  readonly password: string;
}

/** Both roles in token mode over one folder, and a private project, `team`. */
export interface LoginLab {
  readonly dataDir: string;
  readonly push: TwinportProcess;
  readonly mirror: TwinportProcess;
  readonly accounts: {
    /** The owner of `team`, with her own password. */
    readonly alice: Account;
    /** The same person, with a password that she made for the command line. */
    readonly aliceAtWork: Account;
    /** Pulls from `team` and may make projects of his own. */
    readonly guest: Account;
    /** Of `team`, pulls and pushes. */
    readonly robot: Account;
    /** Of `team`, pulls alone. */
    readonly reader: Account;
  };
  /** `twinport <words>` over the store of both. */
  twinport(words: string): Promise<string>;
}

export interface LoginLabOptions {
  readonly upstreamUrl?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Stopped with `servers`. */
export async function startLoginLab(
  servers: OwnedServers,
  { upstreamUrl, env }: LoginLabOptions = {},
): Promise<LoginLab> {
  const dataDir = makeTempFolder('data');
  const [pushPort, mirrorPort] = [await freePort(), await freePort()];
  const common = {
    storage: { dataDir },
    ...(upstreamUrl !== undefined && { upstreamUrl }),
    env: {
      AUTH_MODE: 'token',
      PUSH_PUBLIC_URL: `http://127.0.0.1:${pushPort}`,
      PUBLIC_HOSTS: `127.0.0.1:${pushPort},127.0.0.1:${mirrorPort}`,
      MIRROR_TAG_TTL_SECONDS: '0',
      ...env,
    },
  };
  const [push, mirror] = await Promise.all([
    servers.own(startTwinport({ ...common, role: 'push', port: pushPort })),
    servers.own(startTwinport({ ...common, role: 'mirror', port: mirrorPort })),
  ]);
  const twinport = (words: string): Promise<string> => commandLine(words, dataDir);
  const person = async (username: string): Promise<Account> => ({
    username,
    password: told('Password', await twinport(`user add ${username}`)),
  });
  const robotOf = async (words: string): Promise<Account> => {
    const text = await twinport(`robot add team ${words}`);
    return { username: told('User name', text), password: told('Secret', text) };
  };
  const [alice, guest] = [await person('alice'), await person('bob')];
  await twinport('project create team --owner alice');
  await twinport('project members team bob guest');
  return {
    dataDir,
    push,
    mirror,
    accounts: {
      alice,
      aliceAtWork: { username: 'alice', password: await makeCliPassword('alice', dataDir) },
      guest,
      robot: await robotOf('ci --rights pull,push'),
      reader: await robotOf('nodes --rights pull'),
    },
    twinport,
  };
}

function told(what: string, text: string): string {
  const value = new RegExp(`^${what}: (\\S+)$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`no ${what} in: ${text}`);
  return value;
}

async function makeCliPassword(name: string, dataDir: string): Promise<string> {
  const passwords = new CliPasswords(new FilesystemRecordStore(dataDir), systemClock);
  const owner = { kind: 'user', id: `local:${name}`, name, groups: [], isAdmin: false } as const;
  const expiresAt = new Date(Date.now() + 3600_000);
  const { secret } = await passwords.make(
    owner,
    { label: 'laptop', expiresAt },
    AbortSignal.timeout(10_000),
  );
  return secret;
}
