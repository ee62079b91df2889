import { writeFileSync } from 'node:fs';
import path from 'node:path';

import { runCommand, runSuccessfully } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { startProcess } from '../support/start-process.ts';
import type { RunningProcess } from '../support/start-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

export interface PortForward {
  /** `127.0.0.1:port`. */
  readonly host: string;
  stop(): Promise<void>;
}

const TIMEOUT_MS = 300_000;

/** One namespace of the cluster that KUBECONFIG names, by the kubectl on PATH. */
export class Cluster {
  readonly #namespace: string;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  /** Runs kubectl in the namespace; answers its standard output, throws when it fails. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return await runSuccessfully('kubectl', this.#words(args), { timeoutMs: TIMEOUT_MS });
  }

  /** As kubectl, whatever its exit code. */
  async tryKubectl(...args: readonly string[]): Promise<CommandResult> {
    return await runCommand('kubectl', this.#words(args), { timeoutMs: TIMEOUT_MS });
  }

  /** Applies one object. */
  async apply(object: object): Promise<void> {
    const file = path.join(makeTempFolder('object'), 'object.json');
    writeFileSync(file, JSON.stringify(object));
    await this.kubectl('apply', '--filename', file);
  }

  /** A loopback port of this machine that leads to a port of `service/name` or `deployment/name`. */
  async forward(target: string, port: number): Promise<PortForward> {
    const line = /Forwarding from (127\.0\.0\.1:\d+)/;
    const running: RunningProcess = await startProcess({
      name: `port-forward-${target}`,
      command: 'kubectl',
      args: this.#words(['port-forward', target, `:${port}`]),
      isReady: (logs) => line.test(logs),
    });
    return {
      host: line.exec(running.logs())?.[1] ?? '',
      stop: async () => {
        await running.stop();
      },
    };
  }

  /** What somebody needs who asks why something did not start. */
  async describeTrouble(): Promise<string> {
    const questions = [
      ['get', 'pods', '--output=wide'],
      ['get', 'events', '--sort-by=.lastTimestamp'],
      ['logs', '--selector=app.kubernetes.io/name=twinport', '--tail=20', '--prefix'],
    ];
    const answers = await Promise.all(questions.map((words) => this.tryKubectl(...words)));
    return answers.map(({ stdout, stderr }) => `${stdout}${stderr}`.slice(-8_000)).join('\n');
  }

  /** Removes the namespace with everything in it. */
  async remove(): Promise<void> {
    await this.kubectl('delete', 'namespace', this.#namespace, '--timeout=180s');
  }

  #words(args: readonly string[]): string[] {
    return [`--namespace=${this.#namespace}`, ...args];
  }
}
