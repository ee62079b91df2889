/**
 * Named places between two external effects. A test arms one (TWINPORT_CRASH_POINT=name or name:n for the n-th pass)
 * and the process is killed there as by SIGKILL, so that the invariants are checked after a crash at every step.
 */
export type CrashPoint =
  | 'upload.created'
  | 'upload.appended'
  | 'upload.published'
  | 'blob.linked'
  | 'blob.unlinked'
  | 'manifest.stored'
  | 'manifest.linked'
  | 'referrer.added'
  | 'referrer.removed'
  | 'tag.history-written'
  | 'tag.current-written'
  | 'tag.current-deleted'
  | 'index.marked-dirty'
  | 'index.store-written'
  | 'index.installed'
  | 'manifest.tags-deleted'
  | 'manifest.unlinked'
  | 'project.created'
  | 'change.claimed'
  | 'origin.marked'
  | 'adopt.marked'
  | 'adopt.copied'
  | 'fill.blob-stored'
  | 'fill.blob-linked'
  | 'fill.manifest-stored'
  | 'removal.marked'
  | 'removal.final'
  | 'removal.deleted'
  | 'eviction.recorded'
  | 'eviction.unlinked';

let armed: { name: string; passesLeft: number } | undefined;

/** Arms one crash point of this process. Called once, by main. */
export function armCrashPoint(spec: string): void {
  const [name = '', pass = '1'] = spec.split(':');
  armed = { name, passesLeft: Number(pass) };
}

/** Does nothing, unless a test armed this point. */
export function crashPoint(name: CrashPoint): void {
  if (armed?.name !== name) return;
  armed.passesLeft -= 1;
  if (armed.passesLeft <= 0) process.kill(process.pid, 'SIGKILL');
}
