import path from 'node:path';

import { clientProgram } from './client-program.ts';
import type { ClientProgram } from './client-program.ts';
import { makeTempFolder } from './temp-folder.ts';

/** podman or buildah with a storage of its own that needs no help of the kernel and starts no daemon. */
export function containersProgram(
  name: 'podman' | 'buildah',
  env: Readonly<Record<string, string>> = {},
): ClientProgram {
  // Podman takes no folder for its running state whose path is longer than 50 characters.
  const folder = makeTempFolder('p');
  const below = (part: string): string => path.join(folder, part);
  const storage = ['--root', below('root'), '--runroot', below('r'), '--storage-driver', 'vfs'];
  const podman = ['--tmpdir', below('tmp'), '--cgroup-manager', 'cgroupfs'];
  return clientProgram(name, {
    globalFlags:
      name === 'podman' ? [...storage, ...podman, '--events-backend', 'none'] : [...storage],
    env,
  });
}
