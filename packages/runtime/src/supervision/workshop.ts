// Where modules are bundled: a process of its own, with esbuild as its child. Sources are as hostile as what becomes of them.
// A tree of files can keep a parser busy for minutes, or let it fill the machine's memory; here that costs the module alone.

import { type ChildProcess, fork } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Bundle, BundleRequest } from '../loading/bundle.js';
import { failure, type LoadFailure } from '../loading/failure.js';
import type { Job, Outcome } from '../loading/job.js';
import { namesFile, type ResolvedModule, resolveModule } from '../loading/resolve.js';
import type { Isolation } from '../loading/rules.js';
import { residentBytes, standBack } from './process.js';

export interface WorkshopLimits {
  /** How long one job may take. */
  readonly timeoutMs: number;
  /** What the process and esbuild may hold in memory together, where the system tells. */
  readonly memory: number;
  /** When nothing has been asked for so long, the process ends. */
  readonly idleMs: number;
}

const MEBIBYTE = 2 ** 20;
const LIMITS: WorkshopLimits = { timeoutMs: 60_000, memory: 1024 * MEBIBYTE, idleMs: 10_000 };

const main = fileURLToPath(new URL('../loading/main.js', import.meta.url));

const LOOK_MS = 50;

interface Task {
  readonly job: Job;
  readonly done: (outcome: Outcome) => void;
}

/** One job after another, so that whatever happens to the process is the fault of the one that is being done. */
export class Workshop {
  readonly #limits: WorkshopLimits;
  readonly #queue: Task[] = [];
  #child: ChildProcess | undefined;
  #current: Task | undefined;
  #timer: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;

  constructor(limits: Partial<WorkshopLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Starts the process, so that it is there when the first job comes. */
  prepare(): void {
    if (this.#child !== undefined) return;
    this.#start();
    this.#rest();
  }

  /** Never rejects. */
  do(job: Job): Promise<Outcome> {
    return new Promise((done) => {
      this.#queue.push({ job, done });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== undefined) return;
    clearTimeout(this.#idle);
    this.#current = this.#queue.shift();
    if (this.#current === undefined) {
      this.#rest();
      return;
    }
    const child = this.#child ?? this.#start();
    child.ref();
    child.channel?.ref();
    const { timeoutMs } = this.#limits;
    this.#timer = setTimeout(() => this.#end(`it took more than ${timeoutMs / 1000} s`), timeoutMs);
    // One that has just ended says so by its exit.
    child.send(this.#current.job, () => {});
  }

  #rest(): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    child?.unref();
    child?.channel?.unref();
    this.#idle = setTimeout(() => {
      this.#child = undefined;
      if (child?.connected) child.disconnect();
    }, this.#limits.idleMs).unref();
  }

  #start(): ChildProcess {
    const child = fork(main, [], {
      execArgv: [`--max-old-space-size=${Math.round(this.#limits.memory / MEBIBYTE)}`],
      // What esbuild needs to be found where it was put by hand; nothing of the host's own.
      env: pick(process.env, ['ESBUILD_BINARY_PATH', 'SystemRoot']),
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      // A process group, so that esbuild ends with it.
      detached: true,
    });
    this.#child = child;
    child.on('message', (outcome: Outcome) => {
      if (this.#child === child) this.#finish(outcome);
    });
    child.on('error', (error) => this.#lost(child, error.message));
    child.on('exit', (code, signal) => this.#lost(child, `its process ended by ${signal ?? `exit code ${code}`}`));
    const { pid } = child;
    if (pid !== undefined) standBack(pid);
    if (pid !== undefined && process.platform === 'linux') this.#watch(child, pid);
    return child;
  }

  #finish(outcome: Outcome): void {
    clearTimeout(this.#timer);
    const task = this.#current;
    this.#current = undefined;
    task?.done(outcome);
    this.#next();
  }

  #lost(child: ChildProcess, why: string): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    if (this.#current !== undefined) this.#fail(why);
  }

  /** By force: the job, and the process with it. */
  #end(why: string): void {
    const child = this.#child;
    this.#child = undefined;
    if (child?.pid !== undefined) killGroup(child.pid);
    this.#fail(why);
  }

  #fail(why: string): void {
    this.#finish(failure('BundleFailed', `bundling was given up: ${why}`, 'does it import more than it should?'));
  }

  #watch(child: ChildProcess, pid: number): void {
    const { memory } = this.#limits;
    let isLooking = false;
    const look = async (): Promise<void> => {
      if (isLooking || this.#current === undefined) return;
      isLooking = true;
      const used = await residentWithChildren(pid);
      isLooking = false;
      if (used > memory && this.#child === child) {
        this.#end(`it took more than ${Math.round(memory / MEBIBYTE)} MiB of memory`);
      }
    };
    const timer = setInterval(look, LOOK_MS).unref();
    child.on('exit', () => clearInterval(timer));
  }
}

const workshop = new Workshop();

export const prepareWorkshop = (): void => workshop.prepare();

export const bundleApart = (request: BundleRequest): Promise<Bundle | LoadFailure> =>
  workshop.do({ kind: 'bundle', request }) as Promise<Bundle | LoadFailure>;

export function findModule(
  specifier: string,
  baseDir: string,
  isolation: Isolation,
): Promise<ResolvedModule | LoadFailure> {
  // A package is found by reading its manifest, which is a file like any other.
  return namesFile(specifier)
    ? resolveModule(specifier, baseDir, isolation)
    : (workshop.do({ kind: 'find', specifier, baseDir, isolation }) as Promise<ResolvedModule | LoadFailure>);
}

function pick(all: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])));
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

async function residentWithChildren(pid: number): Promise<number> {
  try {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'latin1');
    const all = [String(pid), ...children.split(' ').filter((text) => text !== '')];
    const sizes = all.map(residentBytes);
    return sizes.reduce((sum, size) => sum + size, 0);
  } catch {
    // It has ended, or the system does not tell.
    return 0;
  }
}
