/** The oldest major version of Node that runs this program. */
const OLDEST_MAJOR = 26;

/** What to tell somebody whose Node is too old; undefined when it is not. */
export function nodeVersionProblem(version: string): string | undefined {
  const major = Number.parseInt(version, 10);
  if (major >= OLDEST_MAJOR) return undefined;
  return (
    `Twinport needs Node ${OLDEST_MAJOR} or newer, and this is Node ${version}. ` +
    'Start it with `npm start` or `npm run serve`: they use the Node that `npm ci` installs beside it.'
  );
}
