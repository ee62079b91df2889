import { runInProcess } from '../../services/command-line/testing/run-in-process.ts';

/** `twinport <words>` over a folder, in this process. Answers what it printed; rejects with that when it fails. */
export async function commandLine(words: string, dataDir: string): Promise<string> {
  const { code, text } = await runInProcess(words.split(' '), { env: { DATA_DIR: dataDir } });
  if (code !== 0) throw new Error(`twinport ${words}: ${text}`);
  return text;
}
