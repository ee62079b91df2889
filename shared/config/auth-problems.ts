import { parseHtpasswd } from '../auth/htpasswd/parse-htpasswd.ts';
import type { ConfigProblem, ReadFile } from './environment.ts';
import type { ReadVariables } from './read-variables.ts';
import type { VariableName } from './variables.ts';

/** What of the settings about identities cannot be. */
export function authProblems(
  { values, sources }: ReadVariables,
  readFile: ReadFile,
): ConfigProblem[] {
  const { AUTH_MODE: mode, AUTH_HTPASSWD_FILE: file } = values;
  const sourceOf = (name: VariableName): string => sources.get(name) ?? name;
  const told = (name: VariableName, message: string): ConfigProblem[] => [
    { variable: sourceOf(name), message },
  ];
  if (mode === 'none') return uselessProblems(sources);
  if (file === undefined) {
    return told('AUTH_HTPASSWD_FILE', `must be set, because ${sourceOf('AUTH_MODE')} is ${mode}`);
  }
  const problem = htpasswdProblem(file, readFile);
  return problem === undefined ? [] : told('AUTH_HTPASSWD_FILE', problem);
}

/** A registry that is open although somebody has said who may use it. */
function uselessProblems(sources: ReadVariables['sources']): ConfigProblem[] {
  return (['AUTH_HTPASSWD_FILE', 'AUTH_ANONYMOUS_PULL'] as const).flatMap((name) => {
    const variable = sources.get(name);
    if (variable === undefined) return [];
    return [
      { variable, message: 'has no effect while AUTH_MODE is none: everybody may do everything' },
    ];
  });
}

function htpasswdProblem(file: string, readFile: ReadFile): string | undefined {
  let content: string;
  try {
    content = readFile(file);
  } catch {
    return `names a file that cannot be read: ${file}`;
  }
  try {
    parseHtpasswd(content);
    return undefined;
  } catch (error) {
    return `names a file that cannot be used: ${file}: ${(error as Error).message}`;
  }
}
