// The victim as the suite holds it: a child process, its two ports, and what the kernel says of it. It ends with the suite,
// and so do its hulls.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Failure, Logger, ModuleEvents, ModuleStatus } from '@bulkhead/runtime';
import type { Layer } from '../../../packages/runtime/src/layers.ts';
import { ask, sleep } from './http.ts';
import { childrenOf, cpuMsOf, descriptorsOf, isAlive, residentMiB, socketsOf, threadsOf } from './proc.ts';

export type Containment = 'process' | 'thread';

export interface HostOptions {
  readonly containment: Containment;
  readonly layersOff: readonly Layer[];
  readonly storage: string;
  /** Where its signing key lies. */
  readonly secretFile: string;
  /** The text of the first configuration. */
  readonly config: string;
}

export interface LogLine {
  readonly level: keyof Logger;
  readonly message: string;
  readonly module: unknown;
  readonly fields: unknown;
}

/** How much was told so far. */
export interface Marks {
  readonly logged: number;
  readonly cells: number;
  readonly hulls: number;
}

const FROM_THE_START: Marks = { logged: 0, cells: 0, hulls: 0 };

/** What the host itself tells: how it is, and what has happened since some marks. */
export interface Snapshot {
  readonly marks: Marks;
  readonly status: readonly ModuleStatus[];
  readonly log: readonly LogLine[];
  readonly cells: readonly ModuleEvents['cell'][];
  readonly hulls: readonly ModuleEvents['hull'][];
  /** Of the host's event loop, since `calm`. */
  readonly delayMs: { readonly max: number; readonly p99: number };
}

export interface Reloaded {
  readonly problems: readonly {
    readonly code: string;
    readonly module: string | undefined;
    readonly message: string;
  }[];
}

export interface CallRequest {
  readonly callback: string;
  readonly args: readonly unknown[];
}

/** The part of any callback's outcome that the suite looks at. */
export interface SeenOutcome {
  readonly allowed?: boolean;
  readonly module?: string;
  readonly error?: string;
  readonly failures: readonly Failure[];
  readonly [key: string]: unknown;
}

/** An entry of the configuration file. */
export type Entry = Readonly<Record<string, unknown>>;

export const neighbours: readonly Entry[] = [
  { module: './modules/neighbours.ts#Words', id: 'words' },
  { module: './modules/neighbours.ts#Page', id: 'page' },
];

/** What is in its key file and its environment, for modules to look for. */
const SECRET = 'ed25519 key-of-the-host';

/** JSON is YAML. */
/** Hundreds of attacks a minute are no homeserver's everyday: the bound on restarts would be met by those who come last. */
const bulkhead = { restarts_per_minute: 600 };

export const configText = (entries: readonly Entry[]): string =>
  JSON.stringify({ bulkhead, modules: entries }, null, 2);

export class Victim {
  readonly pid: number;
  readonly port: number;
  /** Where the suite's own commands go to. */
  readonly controlPort: number;
  readonly secretFile: string;
  readonly containment: Containment;
  /** How it ended, once it has. */
  exit: string | undefined;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #hulls = new Set<number>();
  readonly #stderr: () => string;

  private constructor(
    child: ChildProcess,
    ports: { readonly port: number; readonly control: number },
    options: HostOptions,
    folder: string,
    stderr: () => string,
  ) {
    this.#child = child;
    this.pid = child.pid as number;
    this.port = ports.port;
    this.containment = options.containment;
    this.controlPort = ports.control;
    this.secretFile = options.secretFile;
    this.#folder = folder;
    this.#stderr = stderr;
    child.once('exit', (code, signal) => {
      this.exit = `${signal ?? `exit code ${code}`} ${this.#stderr().slice(-500)}`.trim();
    });
  }

  /** Starts one, with the good modules in it. */
  static async start(containment: Containment, layersOff: readonly Layer[] = []): Promise<Victim> {
    const folder = await mkdtemp(join(tmpdir(), 'bulkhead-containment-'));
    const secretFile = join(folder, 'signing.key');
    await writeFile(secretFile, SECRET);
    const storage = join(folder, 'module-data');
    const options: HostOptions = { containment, layersOff, storage, secretFile, config: configText(neighbours) };
    const { child, ready, stderr } = await spawnScript('host.ts', [JSON.stringify(options)], {
      flags: ['--expose-gc'],
      env: { SIGNING_KEY: SECRET },
    });
    return new Victim(child, ready as { port: number; control: number }, options, folder, stderr);
  }

  /** Its hulls, living or dying. */
  hulls(): readonly number[] {
    const hulls = this.containment === 'process' ? childrenOf(this.pid, 'hull.cjs') : [];
    for (const pid of hulls) this.#hulls.add(pid);
    return hulls;
  }

  /** What is resident of its hulls together. */
  hullsMiB(): number {
    return this.hulls().reduce((sum, pid) => sum + residentMiB(pid), 0);
  }

  /** Milliseconds of CPU that it and its hulls have had. */
  cpuMs(): number {
    return [this.pid, ...this.hulls()].reduce((sum, pid) => sum + cpuMsOf(pid), 0);
  }

  /** Asks all modules about something. */
  call(callback: string, ...args: readonly unknown[]): Promise<SeenOutcome> {
    return this.#command('/call', { callback, args } satisfies CallRequest);
  }

  reload(text: string): Promise<Reloaded> {
    return this.#command('/reload', { text });
  }

  restart(id: string): Promise<{ readonly error?: string }> {
    return this.#command('/restart', { id });
  }

  look(since: Marks = FROM_THE_START): Promise<Snapshot> {
    return this.#command('/look', since);
  }

  /** Forgets what the event loop's delay was so far. */
  calm(): Promise<unknown> {
    return this.#command('/calm', {});
  }

  /** Until its hulls are there, and threads are as many as a moment ago, for some moments: it warms spares in its own time. */
  async settle(ms = 20_000): Promise<void> {
    const until = performance.now() + ms;
    // The one that is shared, the one that waits, and the one for whoever has to live alone.
    const isThere = (): boolean => this.containment === 'thread' || this.hulls().length >= 3;
    const now = (): string => `${threadsOf(this.pid)} ${this.hulls().map((pid) => `${pid}:${threadsOf(pid)}`)}`;
    for (let last = '', same = 0; (same < 8 || !isThere()) && performance.now() < until && isAlive(this.pid); ) {
      const seen = now();
      same = seen === last ? same + 1 : 0;
      last = seen;
      await sleep(100);
    }
  }

  /**
   * Descriptors, without those that a living hull holds the other end of: how many pairs a hull has left depends on how many
   * lives there were in it.
   */
  async inventory(): Promise<Inventory> {
    const heldMiB = await this.#command<number>('/collect', {});
    const pairs = this.hulls().reduce((sum, pid) => sum + socketsOf(pid), 0);
    return {
      heldMiB,
      residentMiB: residentMiB(this.pid),
      threads: threadsOf(this.pid),
      descriptors: descriptorsOf(this.pid) - pairs,
      hulls: this.hulls().length,
    };
  }

  /** Ends it. @returns its hulls that have outlived it, which are ended as well */
  async end(): Promise<readonly number[]> {
    this.hulls();
    this.#child.kill('SIGKILL');
    if (this.exit === undefined) await once(this.#child, 'exit');
    const alive = (): number[] => [...this.#hulls].filter(isAlive);
    for (const until = performance.now() + 3_000; alive().length > 0 && performance.now() < until; ) await sleep(20);
    const orphans = alive();
    for (const pid of orphans) process.kill(pid, 'SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
    return orphans;
  }

  async #command<T>(path: string, body?: object): Promise<T> {
    const { status, body: text } = await ask(this.controlPort, path, body && { body: JSON.stringify(body) });
    if (status !== 200) throw new Error(`the victim answered ${status} to ${path}: ${text}`);
    return JSON.parse(text) as T;
  }
}

export interface Inventory {
  /** By V8 and buffers. */
  readonly heldMiB: number;
  readonly residentMiB: number;
  readonly threads: number;
  readonly descriptors: number;
  readonly hulls: number;
}

/** Runs a script of this folder until its first line, which says where it can be reached. */
export async function spawnScript(
  script: string,
  args: readonly string[] = [],
  { flags = [], env: more = {} }: { readonly flags?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
) {
  const { NODE_OPTIONS: _, ...env } = process.env;
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, ['--import=tsx', ...flags, file, ...args], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...env, ...more },
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-10_000);
    if (process.env.LOG) process.stderr.write(text);
  });
  const lines = createInterface(child.stdout);
  const first = await Promise.race([once(lines, 'line'), once(child, 'exit')]);
  if (typeof first[0] !== 'string') throw new Error(`${script} ended at once: ${stderr}`);
  return { child, ready: JSON.parse(first[0]) as unknown, stderr: () => stderr };
}
