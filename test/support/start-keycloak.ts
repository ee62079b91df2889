import { randomUUID } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import type { ProviderPerson, SignInProvider, StartSignInProvider } from './sign-in-provider.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';
import type { ToolName } from './tools.ts';
import { type FillIn, walkToCallback } from './walk-to-callback.ts';

export const KEYCLOAK_TOOLS = ['java', 'keycloak'] as const satisfies readonly ToolName[];

const REALM = 'university';
const CLIENT = { id: 'twinport', secret: 'client-secret-of-the-test' };
const ADMIN = { name: 'keeper', password: 'password-of-the-keeper' };
/** It compiles itself at its first start. */
const READY_MS = 900_000;

/** What somebody types at Keycloak's login page. */
const passwordOf = (name: string): string => `password-of-${name}-at-keycloak`;

/**
 * Keycloak in its mode for development, on loopback: one realm with a confidential client that has to use PKCE, its groups
 * told by their paths, and people with passwords.
 */
export const startKeycloak: StartSignInProvider = async (callbackUrl, people) => {
  const folder = makeTempFolder('keycloak');
  const home = path.join(folder, 'server');
  // It writes beside its own files.
  await cp(path.dirname(requireTool('keycloak')), home, {
    recursive: true,
    verbatimSymlinks: true,
  });
  const subjects = new Map(people.map(({ name }) => [name, randomUUID()]));
  const realm = {
    realm: REALM,
    enabled: true,
    groups: groupTree(people.flatMap(({ groups }) => groups)),
    clients: [client(callbackUrl)],
    users: people.map((person) => user(person, subjects.get(person.name))),
  };
  await mkdir(path.join(home, 'data', 'import'), { recursive: true });
  await writeFile(path.join(home, 'data', 'import', 'realm.json'), JSON.stringify(realm));
  const [port, managementPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const issuer = `${url}/realms/${REALM}`;
  const server = await startProcess({
    name: 'keycloak',
    command: path.join(home, 'bin', 'kc.sh'),
    args: [
      ...['start-dev', '--import-realm', '--http-host=127.0.0.1', `--http-port=${port}`],
      // Its port for health is on the same address; unasked it takes a fixed one.
      ...['--health-enabled=true', `--http-management-port=${managementPort}`],
    ],
    cwd: home,
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      JAVA: requireTool('java'),
      KC_BOOTSTRAP_ADMIN_USERNAME: ADMIN.name,
      KC_BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password,
    },
    // Its keeper comes last.
    isReady: async () =>
      (await fetch(`${issuer}/.well-known/openid-configuration`)).ok &&
      (await adminToken(url)) !== '',
    readyTimeoutMs: READY_MS,
    stopTimeoutMs: 60_000,
  });
  const subjectOf = (name: string): string => subjects.get(name) ?? '';
  const keycloak: SignInProvider = {
    ...{ issuer, clientId: CLIENT.id, clientSecret: CLIENT.secret },
    // Its scopes know no `groups`: the client's own mapper tells them.
    scopes: 'profile',
    subjectOf,
    visit: (from, name) => walkToCallback(from, callbackUrl, loginForm(name)),
    leaveGroups: (name) => leaveGroups(url, subjectOf(name)),
    stop: async () => {
      await server.stop();
      await removeTempFolder(folder);
    },
  };
  return keycloak;
};

/** Fills in Keycloak's login page, once: when it comes again the password was refused. */
export function loginForm(name: string, password = passwordOf(name)): FillIn {
  let isFilledIn = false;
  return (page) => {
    const action = /<form id="kc-form-login"[^>]* action="([^"]+)"/.exec(page)?.[1];
    if (action === undefined) throw new Error(`no login form: ${page}`);
    if (isFilledIn) throw new Error(/Invalid username or password/.exec(page)?.[0] ?? page);
    isFilledIn = true;
    return {
      action: action.replaceAll('&amp;', '&'),
      fields: { username: name, password, credentialId: '' },
    };
  };
}

const client = (callbackUrl: string) => ({
  clientId: CLIENT.id,
  secret: CLIENT.secret,
  publicClient: false,
  standardFlowEnabled: true,
  directAccessGrantsEnabled: false,
  redirectUris: [callbackUrl],
  attributes: { 'pkce.code.challenge.method': 'S256' },
  protocolMappers: [
    {
      name: 'groups',
      protocol: 'openid-connect',
      protocolMapper: 'oidc-group-membership-mapper',
      config: {
        'claim.name': 'groups',
        'full.path': 'true',
        'id.token.claim': 'true',
        'access.token.claim': 'false',
        'userinfo.token.claim': 'true',
      },
    },
  ],
});

const user = ({ name, groups }: ProviderPerson, id: string | undefined) => ({
  id,
  username: name,
  enabled: true,
  email: `${name}@university.example`,
  emailVerified: true,
  // It asks those for their names who have none.
  firstName: name,
  lastName: 'Example',
  groups,
  credentials: [{ type: 'password', value: passwordOf(name) }],
});

interface Group {
  readonly name: string;
  readonly subGroups: Group[];
}

function groupTree(paths: readonly string[]): Group[] {
  const top: Group[] = [];
  for (const names of new Set(paths)) {
    let level = top;
    for (const name of names.split('/').filter(Boolean)) {
      const group: Group = level.find((known) => known.name === name) ?? { name, subGroups: [] };
      if (!level.includes(group)) level.push(group);
      level = group.subGroups;
    }
  }
  return top;
}

async function leaveGroups(url: string, userId: string): Promise<void> {
  const token = await adminToken(url);
  const groups = `${url}/admin/realms/${REALM}/users/${userId}/groups`;
  const ask = async (target: string, method: string): Promise<Response> => {
    const response = await fetch(target, { method, headers: { authorization: `Bearer ${token}` } });
    if (!response.ok) throw new Error(`${method} ${target}: ${response.status}`);
    return response;
  };
  const joined = (await (await ask(groups, 'GET')).json()) as { readonly id: string }[];
  for (const { id } of joined) await ask(`${groups}/${id}`, 'DELETE');
}

async function adminToken(url: string): Promise<string> {
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'password',
      client_id: 'admin-cli',
      username: ADMIN.name,
      password: ADMIN.password,
    }),
  });
  if (!response.ok) throw new Error(`no token for Keycloak's keeper: ${response.status}`);
  return ((await response.json()) as { access_token: string }).access_token;
}
