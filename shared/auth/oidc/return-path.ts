/** Where one lands who did not say where he came from, or said something else than a page of ours. */
const HOME = '/auth/';
/** Pages that a sign-in may lead back to: plain characters alone, so that nobody reads another host into them. */
const PAGE = /^\/(?:auth|console)(?:\/[A-Za-z0-9_-][A-Za-z0-9._~-]*)*\/?$/;

/** A path of this server, whatever was asked for: a sign-in must not lead anybody elsewhere. */
export function returnPath(asked: string | undefined): string {
  return asked !== undefined && asked.length <= 512 && PAGE.test(asked) ? asked : HOME;
}
