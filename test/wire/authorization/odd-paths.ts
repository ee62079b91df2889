import { basic } from '../../../shared/auth/testing/htpasswd-lines.ts';
import { codeOf } from './client.ts';
import type { Role } from './model.ts';
import type { Registries } from './registries.ts';

/** Ways around a rule that looks at another spelling than what is served; and places where nothing is served. */
const ODD_PATHS: readonly string[] = [
  '/v2/{name}/manifests/v1/',
  '/v2/{name}/tags/list/',
  '/v2/{name}//tags/list',
  '//v2/{name}/tags/list',
  '/v2//{name}/tags/list',
  '/v2/./{name}/tags/list',
  '/v2/public/../{name}/tags/list',
  '/v2/public/app/..%2f..%2f{name}/tags/list',
  '/V2/{name}/tags/list',
  '/v2/{NAME}/tags/list',
  '/v2/{name}/Manifests/v1',
  '/v2/{name}/tags/list;x',
  '/v2/{name}/tags/list%00',
  '/v2/{name}/tags%2flist',
  '/v2/{name}\\tags\\list',
  '/v2/{name}/blobs/sha256:../../x',
  '/v2/{name}/_manifests/tags/v1/current/link',
  '/docker/registry/v2/repositories/{name}/_manifests/tags/v1/current/link',
  '/twinport/v1/projects/{project}.json',
  '/twinport/v1/users/{project}.json',
  '/metrics',
  '/readyz',
  '/debug/vars',
];

/** Answers that show anything, or other things of what is there than of what is not. */
export async function oddPathComplaints(
  role: Role,
  { client, accounts }: Registries,
): Promise<readonly string[]> {
  const askers = [undefined, 'guest', 'root'].map((who) => (who ? accounts.get(who) : undefined));
  const complaints: string[] = [];
  for (const odd of ODD_PATHS) {
    const seen = new Set<string>();
    for (const account of askers) {
      for (const project of ['secret', 'absent']) {
        const name = `${project}/app`;
        const path = odd
          .replace('{name}', name)
          .replace('{NAME}', name.toUpperCase())
          .replace('{project}', project);
        const credentials = account && { authorization: basic(...account) };
        const answer = await client.send(role, { method: 'GET', path }, credentials);
        const isRefused = answer.status === 400 || answer.status === 404;
        if (!isRefused) complaints.push(`${role}: ${path}: got ${answer.status}`);
        const text = `${answer.status} ${codeOf(answer) ?? ''} ${answer.body.toString()}`;
        seen.add(text.replaceAll(new RegExp(project, 'gi'), '<project>'));
      }
    }
    if (seen.size > 1) complaints.push(`${role}: ${odd}: ${[...seen].join(' | ')}`);
  }
  return complaints;
}
