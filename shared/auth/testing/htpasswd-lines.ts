import { quickHash } from './quick-hash.ts';

/** Lines as `htpasswd -B` writes them, cheap to compare with. */
export async function htpasswdLines(users: Readonly<Record<string, string>>): Promise<string> {
  const lines = Object.entries(users).map(
    async ([user, password]) => `${user}:${(await quickHash(password)).replace('$2b$', '$2y$')}\n`,
  );
  return (await Promise.all(lines)).join('');
}

export const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
