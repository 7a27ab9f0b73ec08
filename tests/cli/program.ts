// The program `bulkhead` as an admin runs it: a process with a file.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export const program = fileURLToPath(import.meta.resolve('@bulkhead/runtime')).replace('index.js', 'cli/main.js');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd: string;
  /** For temporary files. */
  readonly temporary?: string;
}

export function startProgram(args: readonly string[], { cwd, temporary }: ProgramOptions): ChildProcess {
  // tap would give the process, and the hulls that it starts, an import of its own by this variable.
  return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, program, ...args], {
    cwd,
    env: { ...process.env, ...(temporary === undefined ? {} : { TMPDIR: temporary }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export async function runProgram(args: readonly string[], options: ProgramOptions): Promise<Ended> {
  const child = startProgram(args, options);
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout as NodeJS.ReadableStream),
    text(child.stderr as NodeJS.ReadableStream),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, stdout, stderr };
}
