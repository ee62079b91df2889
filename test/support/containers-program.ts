import path from 'node:path';

import { clientProgram } from './client-program.ts';
import type { ClientOptions, ClientProgram } from './client-program.ts';
import { makeTempFolder } from './temp-folder.ts';

/** podman or buildah with a storage of its own that needs no help of the kernel and starts no daemon. */
export function containersProgram(
  name: 'podman' | 'buildah',
  options: Omit<ClientOptions, 'globalFlags'> = {},
): ClientProgram {
  const folder = makeTempFolder(`${name}-storage`);
  const below = (part: string): string => path.join(folder, part);
  // Relative to its home, where it is started: podman takes no path here that is longer than 50 characters.
  const storage = ['--root', below('root'), '--runroot', 'run', '--storage-driver', 'vfs'];
  const podman = ['--tmpdir', below('tmp'), '--cgroup-manager', 'cgroupfs'];
  return clientProgram(name, {
    ...options,
    globalFlags:
      name === 'podman' ? [...storage, ...podman, '--events-backend', 'none'] : [...storage],
  });
}
