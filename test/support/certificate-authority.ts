import path from 'node:path';

import { requireTool } from './find-tool.ts';
import { runSuccessfully } from './run-command.ts';
import { makeTempFolder } from './temp-folder.ts';

export interface CertificatePair {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface CertificateAuthority {
  /** What a client must trust. */
  readonly certificateFile: string;
  /** A server's certificate, for host names and addresses. */
  issue(names: readonly string[]): Promise<CertificatePair>;
}

const COMMON = ['req', '-x509', '-nodes', '-days', '2', '-newkey', 'ec'] as const;
const CURVE = ['-pkeyopt', 'ec_paramgen_curve:P-256'] as const;

/** An authority of its own, made by openssl. */
export async function makeCertificateAuthority(): Promise<CertificateAuthority> {
  const folder = makeTempFolder('certificates');
  const make = async (name: string, flags: readonly string[]): Promise<CertificatePair> => {
    const certificateFile = path.join(folder, `${name}.crt`);
    const keyFile = path.join(folder, `${name}.key`);
    const files = ['-keyout', keyFile, '-out', certificateFile, '-subj', `/CN=${name}`];
    await runSuccessfully(requireTool('openssl'), [...COMMON, ...CURVE, ...files, ...flags]);
    return { certificateFile, keyFile };
  };
  const root = await make('test authority', ['-addext', 'basicConstraints=critical,CA:TRUE']);
  let issued = 0;
  return {
    certificateFile: root.certificateFile,
    issue: (names) => {
      issued += 1;
      return make(`server-${issued}`, [
        ...['-CA', root.certificateFile, '-CAkey', root.keyFile],
        ...['-addext', 'basicConstraints=critical,CA:FALSE'],
        ...['-addext', `subjectAltName=${names.map(alternativeName).join(',')}`],
      ]);
    },
  };
}

const alternativeName = (name: string): string => `${/^[\d.]+$/.test(name) ? 'IP' : 'DNS'}:${name}`;
