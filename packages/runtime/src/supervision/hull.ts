// Hulls as the host sees them: something that opens cells and kills them, and may end at any time. One is a child process,
// the other, for embedders who may not spawn any, is the host's own process.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import { getPriority, setPriority } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import * as v from 'valibot';
import type { CellMarks } from '../cell/task.js';
import { Bucket } from '../dispatch/bucket.js';
import { Channel } from '../dispatch/channel.js';
import { BulkheadError } from '../dispatch/errors.js';
import { CONTROL_FD, type HullCommand, HullReport, lineReader } from '../hull/control.js';
import { type CellEnd, CellPool, type PooledCell } from '../hull/pool.js';
import { watchCells } from '../hull/watchdog.js';
import { layers } from '../layers.js';
import { portCarrier, socketCarrier } from '../wire/carrier.js';
import { type MemoryWatch, watchMemory } from './memory.js';
import { standBack, threadCpuMs } from './process.js';
import { type Sandbox, type Wrapping, wrapping } from './sandbox.js';

export interface CellOptions {
  /** The heap limit, in bytes. */
  readonly memory: number;
  readonly isolation: 'compartment' | 'thread';
}

/** One cell, from its opening as a spare to its end. */
export interface Cell extends CellOptions {
  readonly channel: Channel;
  readonly hull: Hull;
  /** Resolves when the channel is closed and it is known, as far as it can be, how the cell ended. */
  readonly ended: Promise<CellEnd>;
  /** Whether its thread was busy without a pause when the watchdog looked last. */
  isBusy(): boolean;
  /** The share of the last second in which its thread was busy, from 0 to 1. */
  cpu(): number;
  /** What its thread was doing when the watchdog found it busy. */
  marks(): CellMarks;
  /** Lets the threads of others come first from now on. @returns false if that is so already, or cannot be had */
  slow(): boolean;
  /** @param because what to say of its end, where it was not the module's supervision that ends it */
  kill(because?: Pick<CellEnd, 'cause' | 'excess'>): void;
}

/** How a hull ended, and which of its cells were busy just before. */
export interface HullExit {
  readonly cause: string;
  readonly busy: ReadonlySet<Cell>;
  /** The cell because of which the host ended it. */
  readonly culprit: Cell | undefined;
}

export interface Hull {
  readonly pid: number | undefined;
  readonly cells: ReadonlySet<Cell>;
  /** Whether it has ended. */
  readonly gone: boolean;
  /** How many more cells it can open. */
  readonly room: number;
  readonly exited: Promise<HullExit>;
  open(options: CellOptions): Cell;
  /** Ends it by force, with every cell in it. */
  crash(verdict?: string): void;
  /** Lets go of it: it ends by itself. */
  close(): Promise<void>;
}

const bundles = join(dirname(fileURLToPath(import.meta.url)), '../bundles');
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission';
/** Node counts an inherited socket as network, from 26.12 on; before 25 it restricts none. */
const sockets = process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : [];
const hullFlags = [
  permission,
  ...sockets,
  '--allow-worker',
  `--allow-fs-read=${bundles}`,
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=SecurityWarning',
];
/** Of a cell's own. Without --allow-worker: a thread that a cell starts is refused, whatever flags it asks for. */
const cellFlags = [
  permission,
  ...sockets,
  `--allow-fs-read=${bundles}`,
  // This file alone, which tells a thread its number: a grant of its folder would hold for its `root` as well, and for all below it.
  '--allow-fs-read=/proc/thread-self/stat',
  '--disable-warning=ExperimentalWarning',
];
/** Within the host's process the pool is not bundled, and its threads begin with a file of Piscina's. */
const piscina = dirname(createRequire(import.meta.url).resolve('piscina'));

/** Of a thread that is busy without a pause. */
const SLOW_NICENESS = 15;
/** A thread that was told to end and has not for so long takes its hull with it. */
const KILL_MS = 300;
/**
 * If it had that much of a core meanwhile: on a machine that is busy with other things a thread may not have come to end
 * itself yet, and a hull that is ended for that costs everybody in it more than waiting does.
 */
const KILL_CPU_MS = 200;
/** So long after the end of a cell the end of its hull is taken for its doing. */
const AFTERMATH_MS = 50;
/** It is not waited for longer than this, and looked at so often. */
const LONGEST_KILL_MS = 3_000;
const LOOK_MS = 20;
/** The control pipe: what a hull of two hundred busy cells reports is within this. */
const REPORT_BYTES_PER_MS = 256;
const REPORT_BURST = 512 << 10;
/** What a line costs besides its bytes: to check it takes longer than to read it. */
const REPORT_COST = 1_024;
/** Bytes of a hull's standard error: what is kept of them, and what is read at a time. */
const STDERR_KEPT = 4_000;
const STDERR_BURST = 256 * 1024;
const STDERR_PAUSE_MS = 100;
/** How long after its socket's end a cell's own may be told; a hull that is short of a core takes its time. */
const REPORT_MS = 2_000;
/** Of a thread that is not busy: it has begun whatever it was sent. */
const FREE: CellMarks = { begun: Number.POSITIVE_INFINITY, current: 0, unsent: [] };
/** Of a cell of which nothing was told. */
const LOST: CellEnd = { marks: FREE, cause: 'lost' };

interface ProcessCell extends Cell {
  readonly slot: number;
  readonly report: (end: CellEnd) => void;
}

const hullScript = join(bundles, 'hull.cjs');

/** What the system adds, where it has it. */
export const sandboxOf = (sandbox: Sandbox, network: boolean): Wrapping =>
  wrapping(sandbox, [process.execPath, hullScript], network);

export interface HullOptions {
  readonly slots: number;
  readonly sandbox: Sandbox;
  /** Whether it keeps the network, for modules that are trusted with it. */
  readonly network: boolean;
}

/** Spawns a hull process with a socket pair for each slot. @throws BulkheadError `HullUnavailable` */
export function spawnHull({ slots, sandbox, network }: HullOptions, commonBudget: Bucket): Hull {
  const { command } = sandboxOf(sandbox, network);
  const [program, ...args] = [
    ...command,
    process.execPath,
    ...(layers.has('hull_flags') ? hullFlags : []),
    hullScript,
    bundles,
    JSON.stringify(layers.off()),
    ...cellFlags,
  ] as [string, ...string[]];
  const child = spawn(
    program,
    args,
    // Its own process group, so that the terminal's Ctrl-C is the host's alone to answer.
    { stdio: ['ignore', 'ignore', 'pipe', ...Array<'pipe'>(slots + 1).fill('pipe')], env: {}, detached: true },
  );
  // Without its pipes, Node leaves the rest of the object out as well.
  if (child.stdio === undefined) {
    child.once('error', () => {});
    throw new BulkheadError(
      'HullUnavailable',
      `a process for the modules could not be started: each needs ${slots + 1} file descriptors (see ulimit -n)`,
    );
  }
  return new ProcessHull(child, slots, commonBudget);
}

class ProcessHull implements Hull {
  readonly exited: Promise<HullExit>;
  gone = false;
  readonly #child: ChildProcess;
  readonly #commonBudget: Bucket;
  readonly #control: Duplex;
  readonly #free: number[];
  readonly #bySlot = new Map<number, ProcessCell>();
  readonly #cells = new Set<Cell>();
  /** Slots whose threads are busy, with what each is doing. */
  #busy = new Map<number, CellMarks>();
  #usage = new Map<number, number>();
  /** Told to end, or at the end of their task, with their threads still there or hardly gone. */
  readonly #ending = new Set<Cell>();
  #stderr = '';
  /** Why the host ended it. */
  #verdict: string | undefined;
  #culprit: Cell | undefined;
  readonly #memoryWatch: MemoryWatch | undefined;

  constructor(child: ChildProcess, slots: number, commonBudget: Bucket) {
    this.#child = child;
    this.#commonBudget = commonBudget;
    this.#control = child.stdio[CONTROL_FD] as Duplex;
    this.#free = Array.from({ length: slots }, (_, slot) => slots - 1 - slot);
    this.exited = new Promise((resolve) => {
      const exit = (cause: string): void => {
        const busy = new Set<Cell>([...this.#busy.keys()].flatMap((slot) => this.#bySlot.get(slot) ?? []));
        // One that was told to end and has not is as busy as can be, though it is watched no more.
        for (const cell of this.#ending) busy.add(cell);
        this.gone = true;
        this.#memoryWatch?.stop();
        resolve({ cause, busy, culprit: this.#culprit });
      };
      child.once('error', (error) => exit(error.message));
      child.once('exit', (code, signal) => exit(this.#describe(code, signal)));
    });
    this.#control.on('error', () => {});
    this.#control.setEncoding('utf8');
    const reports = new Bucket({ perMs: REPORT_BYTES_PER_MS, capacity: REPORT_BURST });
    const isFlooded = (): boolean => reports.level < 0 && layers.has('host_time');
    const read = lineReader(1 << 20, (line) => {
      reports.take(REPORT_COST);
      if (!isFlooded()) this.#hear(line);
    });
    this.#control.on('data', (text: string) => {
      // A module that has Node can write to the pipe, and to nobody else's: its hull is its own.
      reports.take(text.length);
      try {
        if (!isFlooded()) read(text);
      } catch {
        this.crash('it wrote nonsense to its host');
      }
      if (isFlooded()) this.crash('it floods the host');
    });
    if (child.stderr !== null) this.#keepLast(child.stderr);
    if (child.pid !== undefined) standBack(child.pid);
    this.#memoryWatch = watchMemory(this);
    // The embedder's process may end while a hull is there; the hull notices by its control pipe.
    child.unref();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get cells(): ReadonlySet<Cell> {
    return this.#cells;
  }

  get room(): number {
    return this.#free.length;
  }

  open({ memory, isolation }: CellOptions): Cell {
    const slot = this.#free.pop();
    if (slot === undefined) throw new RangeError('the hull has no socket pairs left');
    const socket = this.#child.stdio[CONTROL_FD + 1 + slot] as Socket;
    const channel = new Channel(socketCarrier(socket), this.#commonBudget);
    let report: (end: CellEnd) => void = () => {};
    const reported = new Promise<CellEnd>((resolve) => {
      report = resolve;
    });
    let known: Pick<CellEnd, 'cause' | 'excess'> | undefined;
    const cell: ProcessCell = {
      slot,
      memory,
      isolation,
      channel,
      hull: this,
      report,
      ended: channel.ended.then(() =>
        orLost(Promise.race([reported, this.exited.then(({ cause }) => lastKnown(cell, cause))])).then((end) => ({
          ...end,
          ...known,
        })),
      ),
      isBusy: () => this.#busy.has(slot),
      cpu: () => this.#usage.get(slot) ?? 0,
      marks: () => this.#busy.get(slot) ?? FREE,
      slow: () => this.#slow(cell),
      kill: (because) => {
        known ??= because;
        this.#command({ command: 'kill', slot });
        this.#escalate(cell);
      },
    };
    this.#bySlot.set(slot, cell);
    this.#cells.add(cell);
    void channel.ended.then(() => {
      this.#cells.delete(cell);
      // If it was the whole hull that ended, that is heard a moment after.
      setTimeout(() => this.#ending.delete(cell), AFTERMATH_MS).unref();
    });
    this.#command({ command: 'open', slot, memory, isolation });
    return cell;
  }

  crash(verdict?: string): void {
    this.#verdict ??= verdict;
    this.#child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    this.#child.ref();
    this.#control.destroy();
    for (const cell of this.#cells) cell.channel.close();
    await this.exited;
  }

  #command(command: HullCommand): void {
    if (!this.#control.destroyed) this.#control.write(`${JSON.stringify(command)}\n`);
  }

  #slow({ channel: { threadId } }: Cell): boolean {
    try {
      // A thread of this process's, whatever the cell said.
      if (threadId === undefined || !existsSync(`/proc/${this.pid}/task/${threadId}`)) return false;
      if (getPriority(threadId) === SLOW_NICENESS) return false;
      setPriority(threadId, SLOW_NICENESS);
      return true;
    } catch {
      return false;
    }
  }

  #hear(line: string): void {
    const report = v.parse(HullReport, JSON.parse(line));
    if (report.report === 'ended') {
      const cell = this.#bySlot.get(report.slot);
      cell?.report(report);
      // Its task is over, its thread need not be.
      if (cell !== undefined) this.#escalate(cell);
    } else if (report.report === 'busy') {
      this.#busy = new Map(report.cells.map(({ slot, marks }) => [slot, marks]));
    } else if (report.report === 'usage') {
      this.#usage = new Map(report.cells.map(({ slot, cpu }) => [slot, cpu]));
    }
  }

  /** Some loops inside V8 cannot be interrupted: then the hull has to go, and the others go on in another. */
  #escalate(cell: Cell): void {
    if (cell.channel.closed) return;
    this.#ending.add(cell);
    if (!layers.has('escalation')) return;
    const toldAt = performance.now();
    const before = this.#cpuMs(cell);
    const look = (): void => {
      if (cell.channel.closed || this.gone) return;
      const had = this.#cpuMs(cell) - before >= KILL_CPU_MS;
      if (!had && performance.now() - toldAt < LONGEST_KILL_MS) {
        setTimeout(look, LOOK_MS).unref();
        return;
      }
      this.#culprit = cell;
      this.crash('a thread of it cannot be ended');
    };
    setTimeout(look, KILL_MS).unref();
  }

  /** What the cell's thread had of a core so far; NaN where nobody tells: of one that is not there yet, or no more. */
  #cpuMs({ channel: { threadId } }: Cell): number {
    return threadId === undefined ? Number.NaN : threadCpuMs(this.pid, threadId);
  }

  /** What it said last, for V8's own words about its end. Whoever says more than that is read slowly. */
  #keepLast(stderr: Readable): void {
    let left = STDERR_BURST;
    stderr.on('data', (bytes: Buffer) => {
      this.#stderr = (this.#stderr + bytes.toString('latin1', Math.max(0, bytes.length - STDERR_KEPT))).slice(
        -STDERR_KEPT,
      );
      left -= bytes.length;
      if (left > 0 || !layers.has('host_time')) return;
      stderr.pause();
      setTimeout(() => {
        left = STDERR_BURST;
        stderr.resume();
      }, STDERR_PAUSE_MS).unref();
    });
  }

  #describe(code: number | null, signal: NodeJS.Signals | null): string {
    if (this.#verdict !== undefined) return `${signal}: ${this.#verdict}`;
    const how = signal === null ? `exit code ${code}` : signal;
    const why = /(?:FATAL ERROR|Fatal JavaScript|Error:).*/.exec(this.#stderr)?.[0];
    return why === undefined ? how : `${how} (${why.slice(0, 200)})`;
  }
}

/** What the watchdog said last of a cell that was lost with its hull. */
const lastKnown = (cell: ProcessCell, cause: string): CellEnd => ({
  marks: cell.marks(),
  cause: `its hull ended by ${cause}`,
});

const orLost = (end: Promise<CellEnd>): Promise<CellEnd> =>
  new Promise((resolve) => {
    // If this process was held up, what it waits for may have come in and is read before the immediate.
    const timer = setTimeout(() => setImmediate(resolve, LOST), REPORT_MS);
    void end.then((known) => {
      clearTimeout(timer);
      resolve(known);
    });
  });

/** The host's own process as a hull: without the wall that a process is, and with no way to end it. */
export class ThreadHull implements Hull {
  readonly pid = undefined;
  readonly gone = false;
  readonly room = Number.POSITIVE_INFINITY;
  /** Its end is the host's own. */
  readonly exited = new Promise<HullExit>(() => {});
  readonly #pool = new CellPool({
    bootstrap: join(bundles, 'cell.cjs'),
    execArgv: [...cellFlags, `--allow-fs-read=${piscina}`],
  });
  readonly #cells = new Map<Cell, PooledCell>();
  #busy: ReadonlySet<Cell> = new Set();
  #usage: ReadonlyMap<Cell, number> = new Map();
  readonly #stopWatching = watchCells(this.#cells, {
    busy: (busy) => {
      this.#busy = new Set(busy.map(({ key }) => key));
    },
    usage: (usage) => {
      this.#usage = new Map(usage.map(({ key, cpu }) => [key, cpu]));
    },
  });

  readonly #commonBudget: Bucket;

  constructor(commonBudget: Bucket) {
    this.#commonBudget = commonBudget;
  }

  get cells(): ReadonlySet<Cell> {
    return new Set(this.#cells.keys());
  }

  open({ memory, isolation }: CellOptions): Cell {
    const { port1, port2 } = new MessageChannel();
    const channel = new Channel(portCarrier(port1), this.#commonBudget);
    const pooled = this.#pool.open({ port: port2 }, memory, isolation);
    const cell: Cell = {
      memory,
      isolation,
      channel,
      hull: this,
      ended: pooled.ended.then((end) => {
        channel.close();
        this.#cells.delete(cell);
        return end;
      }),
      isBusy: () => this.#busy.has(cell),
      cpu: () => this.#usage.get(cell) ?? 0,
      marks: () => pooled.marks(),
      // Its thread is one of the host's own; nobody is told which.
      slow: () => false,
      kill: () => pooled.kill(),
    };
    this.#cells.set(cell, pooled);
    return cell;
  }

  /** Nothing can be done: a thread that does not end takes a core of the host's for as long as it likes. */
  crash(): void {}

  async close(): Promise<void> {
    this.#stopWatching();
    const cells = [...this.#cells.keys()];
    for (const cell of cells) cell.kill();
    await Promise.all(cells.map(({ ended }) => ended));
  }
}
