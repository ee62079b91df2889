import { EventEmitter } from 'node:events';

import { COMMANDS } from '../../services/command-line/commands.ts';
import { runCommandLine } from '../../services/command-line/run-command-line.ts';

/** `twinport <words>` over a folder, in this process: many commands cost no more than their work. Answers what it printed. */
export async function commandLine(words: string, dataDir: string, input = ''): Promise<string> {
  const lines: string[] = [];
  const codes: number[] = [];
  await runCommandLine(
    {
      args: words.split(' '),
      env: { DATA_DIR: dataDir },
      signals: new EventEmitter(),
      readFile: () => input,
      print: (text) => lines.push(text),
      printError: (text) => lines.push(text),
      exit: (code) => codes.push(code),
    },
    COMMANDS,
  );
  const text = lines.join('\n');
  if (codes[0] !== 0) throw new Error(`twinport ${words}: ${text}`);
  return text;
}
