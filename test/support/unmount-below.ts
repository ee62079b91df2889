import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const MOUNT_POINT_FIELD = 4;

/** Detaches what is mounted anywhere below a folder, so that it can be removed: a docker daemon leaves such mounts. */
export function unmountBelow(folder: string): void {
  const table = '/proc/self/mountinfo';
  if (!existsSync(table)) return;
  const points = readFileSync(table, 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[MOUNT_POINT_FIELD] ?? '')
    .filter((point) => point.startsWith(`${folder}${path.sep}`));
  // The last mounted lies on top.
  for (const point of points.toReversed()) execFileSync('umount', ['--lazy', point]);
}
