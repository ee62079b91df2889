import { z } from 'zod';

import { hashPassword, passwordProblem } from '../auth/password-hash.ts';
import { mapBounded } from '../index/store/map-bounded.ts';
import type { Clock } from '../lifecycle/clock.ts';
import { registryError } from '../oci/errors.ts';
import { userKey, usersFolder } from '../storage/object-keys.ts';
import { recordPlace } from './record-place.ts';
import {
  type RecordPlace,
  VersionedRecords,
  type VersionedRecordsDependencies,
} from './versioned-records.ts';
import { withoutField } from './without-field.ts';

const SUFFIX = '.json';
/** File systems and people confuse upper and lower case: a name has neither two forms nor a separator of robots. */
const NAME = /^[a-z0-9](?:[a-z0-9._@-]{0,62}[a-z0-9])?$/;
const MIN_PASSWORD_LENGTH = 8;

const schema = z.object({
  schemaVersion: z.literal(1),
  revision: z.number().int().nonnegative().exactOptional(),
  name: z.string(),
  passwordHash: z.string(),
  isAdmin: z.boolean(),
  /** The password was made by somebody else: it opens nothing but its own change. */
  mustChange: z.boolean().exactOptional(),
  disabled: z.boolean().exactOptional(),
  createdAt: z.string(),
});

/** A person whose password this registry keeps. */
export type UserRecord = z.infer<typeof schema>;

export interface UsersDependencies extends VersionedRecordsDependencies {
  readonly clock: Clock;
  /** As passwords are kept, unless tests cannot wait for that. */
  readonly hash?: (password: string) => Promise<string>;
}

const isUserName = (name: string): boolean => NAME.test(name);

/** The accounts of people in the store. Nothing here asks who may do it. */
export class Users {
  readonly #deps: UsersDependencies;
  readonly #place: RecordPlace<UserRecord>;
  readonly #versions: VersionedRecords<UserRecord>;

  constructor(deps: UsersDependencies) {
    this.#deps = deps;
    this.#place = recordPlace<UserRecord>(deps.records, { kind: 'users', schema, key: userKey });
    this.#versions = new VersionedRecords(deps, this.#place);
  }

  /** As the store has it now. */
  async find(name: string, signal: AbortSignal): Promise<UserRecord | undefined> {
    return isUserName(name) ? await this.#place.get(name, signal) : undefined;
  }

  /** All, by name. */
  async list(signal: AbortSignal): Promise<UserRecord[]> {
    const children = await this.#deps.records.list(usersFolder, {}, signal);
    const names = children
      .filter((child) => !child.isFolder && child.name.endsWith(SUFFIX))
      .map((child) => child.name.slice(0, -SUFFIX.length));
    const all = await mapBounded(names, (name) => this.find(name, signal));
    return all.filter((user) => user !== undefined);
  }

  /** Makes an account. Throws DENIED where there is one, or for a name or password that may not be. */
  async add(
    user: {
      readonly name: string;
      readonly password: string;
      readonly isAdmin: boolean;
      readonly mustChange: boolean;
    },
    signal: AbortSignal,
  ): Promise<void> {
    const { name, password, isAdmin, mustChange } = user;
    if (!isUserName(name)) {
      throw refused(
        'a user name has 1 to 64 characters of a-z, 0-9, ".", "_", "@" and "-", and begins and ends with a letter or digit',
      );
    }
    const passwordHash = await this.#hash(password);
    await this.#versions.change(
      name,
      (current) => {
        if (current) throw refused(`there is a user ${name} already`);
        return {
          schemaVersion: 1,
          name,
          passwordHash,
          isAdmin,
          ...(mustChange && { mustChange }),
          createdAt: this.#deps.clock.now().toISOString(),
        };
      },
      signal,
    );
  }

  /** Gives an account another password; the one before opens nothing any more within 30 seconds. */
  async setPassword(
    name: string,
    password: string,
    { mustChange }: { readonly mustChange: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const passwordHash = await this.#hash(password);
    await this.#change(
      name,
      (user) => ({
        ...withoutField(user, 'mustChange'),
        passwordHash,
        ...(mustChange && { mustChange }),
      }),
      signal,
    );
  }

  async setAdmin(name: string, isAdmin: boolean, signal: AbortSignal): Promise<void> {
    await this.#change(name, (user) => ({ ...user, isAdmin }), signal);
  }

  async setDisabled(name: string, disabled: boolean, signal: AbortSignal): Promise<void> {
    await this.#change(
      name,
      (user) => ({ ...withoutField(user, 'disabled'), ...(disabled && { disabled }) }),
      signal,
    );
  }

  async #hash(password: string): Promise<string> {
    const isShort = password.length < MIN_PASSWORD_LENGTH;
    const problem = isShort
      ? `must have ${MIN_PASSWORD_LENGTH} characters at least`
      : passwordProblem(password);
    if (problem !== undefined) throw refused(`the password ${problem}`);
    return await (this.#deps.hash ?? hashPassword)(password);
  }

  async #change(
    name: string,
    next: (user: UserRecord) => UserRecord,
    signal: AbortSignal,
  ): Promise<void> {
    if (!isUserName(name)) throw unknownUser(name);
    await this.#versions.change(
      name,
      (user) => {
        if (!user) throw unknownUser(name);
        return next(user);
      },
      signal,
    );
  }
}

const refused = (message: string): Error => registryError('DENIED', { status: 400, message });
const unknownUser = (name: string): Error =>
  registryError('NAME_UNKNOWN', { message: `there is no user ${name}` });
