import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import type { CertificatePair } from './certificate-authority.ts';
import { requireTool } from './find-tool.ts';
import { freePort } from './free-port.ts';
import { runSuccessfully } from './run-command.ts';
import { startProcess } from './start-process.ts';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

export const DIRECTORY = {
  base: 'dc=uni,dc=example',
  users: 'ou=people,dc=uni,dc=example',
  groups: 'ou=groups,dc=uni,dc=example',
  account: { dn: 'cn=twinport,dc=uni,dc=example', password: 'searching-account' },
} as const;

export interface SlapdOptions {
  /** For ldaps and StartTLS. */
  readonly certificate: CertificatePair;
  /** LDIF of what stands in the directory beside its folders and its account. */
  readonly ldif: string;
}

export interface Slapd {
  readonly port: number;
  readonly tlsPort: number;
  /** Everything it logged (`stats`: each connection, bind, search and result). */
  logs(): string;
  /** Hangs it: connections are taken, nothing is answered. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** OpenLDAP on loopback with a directory of its own in which the account alone may search. */
export async function startSlapd(options: SlapdOptions): Promise<Slapd> {
  const folder = makeTempFolder('slapd');
  const [port, tlsPort] = [await freePort(), await freePort()];
  // AppArmor, where it runs, keeps a program of Debian's path and name away from our folders.
  const program = path.join(folder, 'directory-server');
  copyFileSync(requireTool('slapd'), program);
  chmodSync(program, 0o755);
  const configFile = path.join(folder, 'slapd.conf');
  mkdirSync(path.join(folder, 'data'));
  writeFileSync(configFile, configuration(folder, options.certificate));
  const ldifFile = path.join(folder, 'content.ldif');
  writeFileSync(ldifFile, `${FOLDERS}\n${options.ldif}\n`);
  await runSuccessfully(program, ['-T', 'add', '-f', configFile, '-l', ldifFile]);
  const server = await startProcess({
    name: 'slapd',
    command: program,
    args: [
      ...['-f', configFile, '-d', 'stats'],
      ...['-h', `ldap://127.0.0.1:${port} ldaps://127.0.0.1:${tlsPort}`],
    ],
    isReady: () => isOpen(tlsPort),
  });
  return {
    port,
    tlsPort,
    logs: () => server.logs(),
    pause: () => server.signal('SIGSTOP'),
    resume: () => server.signal('SIGCONT'),
    stop: async () => {
      await server.stop();
      await removeTempFolder(folder);
    },
  };
}

function configuration(folder: string, certificate: CertificatePair): string {
  const schemas = ['core', 'cosine', 'inetorgperson'];
  return `${schemas.map((name) => `include /etc/ldap/schema/${name}.schema`).join('\n')}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile ${certificate.certificateFile}
TLSCertificateKeyFile ${certificate.keyFile}
sizelimit 500
database mdb
suffix "${DIRECTORY.base}"
rootdn "cn=root,${DIRECTORY.base}"
directory ${path.join(folder, 'data')}
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${DIRECTORY.account.dn}" read by * none
`;
}

const FOLDERS = `dn: ${DIRECTORY.base}
objectClass: organization
objectClass: dcObject
dc: uni
o: University

dn: ${DIRECTORY.users}
objectClass: organizationalUnit
ou: people

dn: ${DIRECTORY.groups}
objectClass: organizationalUnit
ou: groups

dn: ${DIRECTORY.account.dn}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: twinport
userPassword: ${DIRECTORY.account.password}
`;

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
