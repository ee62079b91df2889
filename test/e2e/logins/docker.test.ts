import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { htpasswdLines } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { makeCertificateAuthority } from '../../support/certificate-authority.ts';
import { describeWithTools } from '../../support/describe-with-tools.ts';
import { freePort } from '../../support/free-port.ts';
import { writeLayer } from '../../support/docker-archive.ts';
import { type Account, type LoginLab, startLoginLab } from '../../support/login-lab.ts';
import { OwnedServers } from '../../support/owned-servers.ts';
import { startTwinport, type TwinportProcess } from '../../support/registry-process.ts';
import { type DockerDaemon, DOCKER_TOOLS, startDockerd } from '../../support/start-dockerd.ts';
import { DIRECTORY, startSlapd } from '../../support/start-slapd.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import { startTokenService } from '../../support/token-service.ts';

const DORA: Account = { username: 'dora', password: 'the explorer' };
const HARRY: Account = { username: 'harry', password: 'of the file' };
const LDIF = `dn: uid=${DORA.username},${DIRECTORY.users}
objectClass: inetOrgPerson
uid: ${DORA.username}
cn: Dora
sn: D
userPassword: ${DORA.password}
memberOf: cn=developers,${DIRECTORY.groups}
`;

/** What docker shows, as people know it. */
const NO_CREDENTIALS = /no basic auth credentials/;
const PUSH_DENIED = {
  '20': /^denied: requested access to the resource is denied$/m,
  '29': /push access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed/,
};
const PULL_DENIED =
  /pull access denied for .+, repository does not exist or may require (?:'docker login'|authorization)/;
const WRONG_PASSWORD = /unauthorized: incorrect username or password/;
/** Docker 29 asks people for their password then. */
const LOGIN_ENDED = { '20': WRONG_PASSWORD, '29': /Cannot perform an interactive login/ };
const WRONG_PASSWORD_OF_FILE = /login attempt to \S+ failed with status: 401 Unauthorized/;

describeWithTools(['docker', 'slapd', 'openssl'], 'docker login', () => {
  const servers = new OwnedServers();
  let lab: LoginLab;
  let withFile: TwinportProcess;
  let withIssuer: TwinportProcess;

  beforeAll(async () => {
    const authority = await makeCertificateAuthority();
    const certificate = await authority.issue(['localhost']);
    const slapd = await servers.own(startSlapd({ certificate, ldif: LDIF }));
    const secrets = makeTempFolder('secrets');
    const [users, bindPassword] = [path.join(secrets, 'users'), path.join(secrets, 'ldap')];
    writeFileSync(bindPassword, DIRECTORY.account.password);
    writeFileSync(users, await htpasswdLines({ [HARRY.username]: HARRY.password }));
    const tokenService = await servers.own(
      startTokenService({
        host: '127.0.0.1',
        port: await freePort(),
        issuer: 'Acme auth server',
        signsWith: certificate,
        users: { [HARRY.username]: HARRY.password },
        mayDo: (user, repository) => user === HARRY.username && repository.startsWith('harry/'),
      }),
    );
    [lab, withFile, withIssuer] = await Promise.all([
      startLoginLab(servers, {
        env: {
          AUTH_LDAP_URL: `ldaps://localhost:${slapd.tlsPort}`,
          AUTH_LDAP_CA_FILE: authority.certificateFile,
          AUTH_LDAP_BIND_DN: DIRECTORY.account.dn,
          AUTH_LDAP_BIND_PASSWORD_FILE: bindPassword,
          AUTH_LDAP_USER_BASE: DIRECTORY.users,
          AUTH_LDAP_GROUP_BASE: DIRECTORY.groups,
        },
      }),
      servers.own(
        startTwinport({
          role: 'push',
          storage: { dataDir: makeTempFolder('data') },
          env: { AUTH_MODE: 'htpasswd', AUTH_HTPASSWD_FILE: users },
        }),
      ),
      servers.own(
        startTwinport({
          role: 'push',
          storage: { dataDir: makeTempFolder('data') },
          // As the environment of a registry:2 has it.
          env: {
            REGISTRY_AUTH: 'token',
            REGISTRY_AUTH_TOKEN_REALM: `${tokenService.url}/token`,
            REGISTRY_AUTH_TOKEN_SERVICE: 'Docker registry',
            REGISTRY_AUTH_TOKEN_ISSUER: 'Acme auth server',
            REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE: certificate.certificateFile,
          },
        }),
      ),
    ]);
    await lab.twinport('project members team ldap:developers developer --group');
  });
  afterAll(() => servers.stopAll());

  describe.each(['20', '29'] as const)('of docker %s', (engine) => {
    describeWithTools(DOCKER_TOOLS[engine], 'at a daemon', () => {
      const daemons = new OwnedServers();
      let daemon: DockerDaemon;

      beforeAll(async () => {
        daemon = await daemons.own(startDockerd({ engine }));
      });
      afterAll(() => daemons.stopAll());

      /** An image of its own under this name. */
      const makeImage = async (name: string, bytes = 1_000): Promise<void> => {
        const content = makeTempFolder('content');
        writeFileSync(path.join(content, 'file'), randomBytes(bytes));
        const layer = path.join(makeTempFolder('layer'), 'layer.tar');
        await writeLayer(content, layer);
        await daemon.succeed('import', layer, name);
      };

      const accounts = [
        ['a robot', () => lab.accounts.robot, ['push', 'mirror'], 'a token'],
        ['a person of a directory', () => DORA, ['push', 'mirror'], 'the password'],
        ['a user of this registry', () => lab.accounts.alice, ['push'], 'a token'],
        [
          'a password for the command line',
          () => lab.accounts.aliceAtWork,
          ['push'],
          'the password',
        ],
      ] as const;
      test.each(engine === '20' ? accounts : accounts.slice(0, 1))(
        'lets %s push to a private project and pull from there, until the logout',
        async (_who, accountOf, roles, kept) => {
          const account = accountOf();
          const somebody = new Somebody(daemon);
          const hosts = roles.map((role) => lab[role].host);
          const name = `team/app-${randomBytes(4).toString('hex')}:1`;
          const pushed = `${lab.push.host}/${name}`;
          await makeImage(pushed);
          expect(await somebody.fails('push', pushed)).toMatch(PUSH_DENIED[engine]);

          for (const host of hosts) await somebody.logsIn(account, host);
          await somebody.succeeds('push', pushed);
          await daemon.succeed('rmi', pushed);
          for (const host of hosts) {
            await somebody.succeeds('pull', `${host}/${name}`);
            await daemon.succeed('rmi', `${host}/${name}`);
          }
          expect(somebody.keeps(account.password) ? 'the password' : 'a token').toBe(kept);

          for (const host of hosts) {
            await somebody.succeeds('logout', host);
            expect(await somebody.fails('pull', `${host}/${name}`)).toMatch(PULL_DENIED);
          }
        },
      );

      test('lets nobody do what he has no right to, whether or not it is there', async () => {
        const { push, accounts } = lab;
        const [own, there] = [`${push.host}/team/secret-${engine}:1`, `${push.host}/bobs/app:1`];
        const owner = new Somebody(daemon);
        await owner.logsIn(accounts.alice, push.host);
        await makeImage(own);
        await owner.succeeds('push', own);

        const guest = new Somebody(daemon);
        await guest.logsIn(accounts.guest, push.host);
        await guest.succeeds('pull', own);
        // Another image: docker 29 does not send what is there already.
        await makeImage(own);
        expect(await guest.fails('push', own)).toMatch(PUSH_DENIED[engine]);
        // A project of his own, which others do not see.
        await daemon.succeed('tag', own, there);
        await guest.succeeds('push', there);
        const absent = `${push.host}/nobodys/app:1`;
        const told = async (image: string): Promise<string> =>
          (await owner.fails('pull', image)).replaceAll(/127[\w.:]+\/\w+\/app/g, 'it');
        expect(await told(there)).toMatch(PULL_DENIED);
        expect(await told(absent)).toBe(await told(there));
        expect(await owner.fails('push', there)).toMatch(PUSH_DENIED[engine]);

        const robot = new Somebody(daemon);
        await robot.logsIn(accounts.reader, push.host);
        expect(await robot.fails('push', own)).toMatch(PUSH_DENIED[engine]);
        expect(await robot.fails('pull', there)).toMatch(PULL_DENIED);
      });

      test('refuses wrong passwords and unknown users in the same words', async () => {
        const somebody = new Somebody(daemon);
        for (const [{ host }, { username }, expected] of [
          [lab.push, lab.accounts.alice, WRONG_PASSWORD],
          [withFile, HARRY, WRONG_PASSWORD_OF_FILE],
        ] as const) {
          const attempt = (name: string): Promise<string> =>
            somebody.fails('login', '--username', name, '--password', 'guessed', host);
          const known = await attempt(username);
          expect(known).toMatch(expected);
          expect(await attempt('nobody')).toBe(known);
        }
      });

      test('is kept by a token that ends at once when the user is locked out', async () => {
        const { push } = lab;
        const name = `eve${engine}`;
        const password = /Password: (\S+)/.exec(await lab.twinport(`user add ${name}`))?.[1] ?? '';
        const eve = new Somebody(daemon);
        await eve.logsIn({ username: name, password }, push.host);
        const image = `${push.host}/${name}/app:1`;
        await makeImage(image);
        await eve.succeeds('push', image);
        await daemon.succeed('rmi', image);
        await lab.twinport(`user disable ${name}`);
        expect(await eve.fails('pull', image)).toMatch(LOGIN_ENDED[engine]);
      });

      test('with a password of a file, sent with every request', async () => {
        const image = `${withFile.host}/any/app-${engine}:1`;
        const harry = new Somebody(daemon);
        await makeImage(image);
        expect(await harry.fails('push', image)).toMatch(NO_CREDENTIALS);
        await harry.logsIn(HARRY, withFile.host);
        await harry.succeeds('push', image);
        await daemon.succeed('rmi', image);
        await harry.succeeds('pull', image);
        await harry.succeeds('logout', withFile.host);
        await daemon.succeed('rmi', image);
        expect(await harry.fails('pull', image)).toMatch(NO_CREDENTIALS);
      });

      test('at another token server, for a registry with the settings of registry:2', async () => {
        const { host } = withIssuer;
        const [own, other] = [`${host}/harry/app-${engine}:1`, `${host}/alices/app-${engine}:1`];
        const harry = new Somebody(daemon);
        await makeImage(own);
        await daemon.succeed('tag', own, other);
        expect(await harry.fails('push', own)).toMatch(PUSH_DENIED[engine]);
        await harry.logsIn(HARRY, host);
        await harry.succeeds('push', own);
        await daemon.succeed('rmi', own);
        await harry.succeeds('pull', own);
        expect(await harry.fails('push', other)).toMatch(PUSH_DENIED[engine]);
        await harry.succeeds('logout', host);
        expect(await harry.fails('pull', own)).toMatch(PULL_DENIED);
      });

      test('and a push that does not fit into a project shows its quota and what it takes', async () => {
        const { push, accounts } = lab;
        const project = `small-${engine}`;
        await lab.twinport(`project create ${project} --owner alice`);
        await lab.twinport(`project set ${project} --quota 7000`);
        const [first, second] = [1, 2].map((tag) => `${push.host}/${project}/app:${tag}`) as [
          string,
          string,
        ];
        const alice = new Somebody(daemon);
        await alice.logsIn(accounts.alice, push.host);
        await makeImage(first, 4_000);
        await makeImage(second, 4_000);
        await alice.succeeds('push', first);
        expect(await alice.fails('push', second)).toMatch(
          new RegExp(
            `the project ${project} has a quota of 7000 bytes and takes [4-6]\\d{3} of them`,
          ),
        );
        await daemon.succeed('rmi', first);
        await alice.succeeds('pull', first);
      });
    });
  });
});

/** Somebody at a daemon, with a docker configuration of her own. */
class Somebody {
  readonly #daemon: DockerDaemon;
  readonly #folder = makeTempFolder('docker-config');

  constructor(daemon: DockerDaemon) {
    this.#daemon = daemon;
  }

  succeeds(...words: readonly string[]): Promise<string> {
    return this.#daemon.succeed('--config', this.#folder, ...words);
  }

  /** What docker prints about it. */
  async fails(...words: readonly string[]): Promise<string> {
    const { code, stderr } = await this.#daemon.docker('--config', this.#folder, ...words);
    expect({ words, isDone: code === 0 }).toEqual({ words, isDone: false });
    return stderr;
  }

  async logsIn({ username, password }: Account, host: string): Promise<void> {
    const words = ['login', '--username', username, '--password', password, host];
    expect(await this.succeeds(...words)).toContain('Login Succeeded');
  }

  /** Whether docker has put the password into its configuration. */
  keeps(password: string): boolean {
    const file = path.join(this.#folder, 'config.json');
    if (!existsSync(file)) return false;
    const { auths } = JSON.parse(readFileSync(file, 'utf8')) as {
      auths: Record<string, { auth?: string }>;
    };
    return Object.values(auths).some(({ auth = '' }) =>
      Buffer.from(auth, 'base64').toString().endsWith(`:${password}`),
    );
  }
}
