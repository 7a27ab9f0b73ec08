// The program of the example as a process that can be killed.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const main = fileURLToPath(import.meta.resolve('@bulkhead/examples/homeserver')).replace('index.js', 'main.js');

/** However this process ends, the standard input of its child ends with it. */
const ENDS_WITH_US = `--import=data:text/javascript,${encodeURIComponent('process.stdin.once("end", () => process.exit()).resume()')}`;

/** One homeserver, started again and again on the same data. */
export class Program {
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  constructor(folder: string, databaseUrl: string | undefined) {
    this.#args = [
      // PGlite lives for seconds: to make its code fast takes longer than to run it as it is.
      '--liftoff-only',
      ENDS_WITH_US,
      main,
      '--no-tour',
      '--config',
      join(folder, 'homeserver.yaml'),
      '--data',
      join(folder, 'data'),
      '--port',
      '0',
    ];
    const { DATABASE_URL: _, ...env } = process.env;
    this.#env = { ...env, NODE_OPTIONS: '', NO_COLOR: '1', ...(databaseUrl ? { DATABASE_URL: databaseUrl } : {}) };
  }

  start(): ChildProcess {
    this.#child = spawn(process.execPath, this.#args, { env: this.#env, stdio: ['pipe', 'pipe', 'pipe'] });
    return this.#child;
  }

  /** @returns where it listens */
  async listening(): Promise<string> {
    const child = this.start();
    let complaints = '';
    child.stderr?.on('data', (text) => {
      complaints += text;
    });
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const url = /stays up at (\S+)$/.exec(line)?.[1];
      if (url !== undefined) return url;
    }
    throw new Error(`The homeserver does not start again: ${complaints}`);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
}
