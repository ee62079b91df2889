/** The variables of a process, as the operating system hands them over. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads a whole text file; throws when it cannot. Injected, so that configuration is a function of its input. */
export type ReadFile = (path: string) => string;

/** Something that stops the start. */
export interface ConfigProblem {
  readonly variable: string;
  /** Completes the sentence that begins with the variable's name. */
  readonly message: string;
}

const SERVICE_LINK_NAME =
  /_SERVICE_HOST$|_SERVICE_PORT(?:_[A-Z0-9_]+)?$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/;
const SERVICE_LINK_VALUE = /^(?:tcp|udp|sctp):\/\//;

/**
 * True for what Kubernetes sets in every container for each Service in its namespace: a Service named `push` makes
 * `PUSH_PORT=tcp://10.0.0.1:5000`, which was never meant for this program.
 */
function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK_NAME.test(name) || (name.endsWith('_PORT') && SERVICE_LINK_VALUE.test(value));
}

/** The variables that somebody set for this program: service links are left out. */
export function ownEnvironment(env: Environment): Map<string, string> {
  const own = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !isServiceLink(name, value)) own.set(name, value);
  }
  // Other programs read these in small letters as well, and hosts have them so.
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    const value = own.get(name.toLowerCase());
    if (value !== undefined && !own.has(name)) own.set(name, value);
  }
  return own;
}
