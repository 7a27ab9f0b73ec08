// The cells' threads. One task is one cell's whole life, and a thread has one life: aborting the task ends the thread.

import { closeSync } from 'node:fs';
import type { HeapInfo } from 'node:v8';
import type { MessagePort, Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import {
  type CellData,
  type CellMarks,
  type CellTask,
  isTaken,
  MARKS_BYTES,
  readExcess,
  readMarks,
} from '../cell/task.js';
import { layers } from '../layers.js';

export interface PoolOptions {
  /** The script that a thread runs, as one file. */
  readonly bootstrap: string;
  /** Flags of the threads' own: what a thread merely inherits, a thread of its own making does not have. */
  readonly execArgv: readonly string[];
}

/** How one cell ended, and what it was doing. */
export interface CellEnd {
  readonly marks: CellMarks;
  readonly cause: string;
  /** How many MiB it used, if that was too much. */
  readonly excess?: number | undefined;
}

export interface PooledCell {
  readonly ended: Promise<CellEnd>;
  kill(): void;
  /** Ends the cell if it uses more memory than it may. Where V8 does not tell, the cell has to look itself. */
  checkMemory(): void;
  /** The share of the time since the last question that the thread was busy, from 0 to 1. */
  load(): number;
  marks(): CellMarks;
}

const MEBIBYTE = 1 << 20;
/** Of what a busy thread uses, so much may be garbage. */
const MEMORY_SLACK = 48 * MEBIBYTE;
/** More than any hull has slots for. */
const MOST_THREADS = 4096;

export class CellPool {
  readonly #options: PoolOptions;
  /** Heap limits belong to a pool, so there is one for each that is in use. */
  readonly #pools = new Map<string, Piscina>();

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** @param memory the heap limit, in bytes */
  open(carrier: CellTask['carrier'], memory: number, isolation: CellData['isolation']): PooledCell {
    const shared = new SharedArrayBuffer(MARKS_BYTES);
    const view = new Int32Array(shared);
    const abort = new AbortController();
    const pool = this.#pool(memory, isolation);
    const known = new Set(pool.threads);
    const transferList: MessagePort[] = 'port' in carrier ? [carrier.port] : [];
    const task: CellTask = { carrier, marks: shared };
    const life = pool.run(task, { signal: abort.signal, transferList });
    const thread = pool.threads.find((candidate) => !known.has(candidate));
    // A thread that is ended before it has begun leaves its socket open, and the host would wait for that to close.
    if ('fd' in carrier) thread?.once('exit', () => isTaken(view) || closeSync(carrier.fd));
    const marks = (): CellMarks => readMarks(view);
    let excess = 0;
    const end = (cause: string): CellEnd => {
      const used = excess || readExcess(view);
      return used === 0 ? { marks: marks(), cause } : { marks: marks(), cause: overLimit(used, memory), excess: used };
    };
    return {
      ended: life.then(
        () => end('ended'),
        (error: unknown) => end(error instanceof Error ? error.message : String(error)),
      ),
      kill: () => abort.abort(),
      checkMemory: () => {
        void memoryOf(thread).then((used) => {
          if (used <= memory + MEMORY_SLACK || abort.signal.aborted || !layers.has('memory')) return;
          excess = Math.round(used / MEBIBYTE);
          abort.abort();
        });
      },
      load: loadOf(thread),
      marks,
    };
  }

  #pool(memory: number, isolation: CellData['isolation']): Piscina {
    const key = `${memory}/${isolation}`;
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      const workerData: CellData = { isolation, memory, layersOff: layers.off() };
      pool = new Piscina({
        filename: this.#options.bootstrap,
        minThreads: 0,
        maxThreads: MOST_THREADS,
        idleTimeout: 0,
        concurrentTasksPerWorker: 1,
        // A waiting thread must run its event loop, not sleep in Atomics.wait.
        atomics: 'disabled',
        recordTiming: false,
        env: {},
        ...(layers.has('cell_flags') ? { execArgv: [...this.#options.execArgv] } : {}),
        resourceLimits: {
          maxOldGenerationSizeMb: Math.ceil(memory / MEBIBYTE),
          maxYoungGenerationSizeMb: Math.min(16, Math.ceil(memory / MEBIBYTE / 4)),
          stackSizeMb: 4,
        },
        workerData,
      });
      // A thread that fails with no task running; the task's own failure is what is reported.
      pool.on('error', () => {});
      this.#pools.set(key, pool);
    }
    return pool;
  }
}

const overLimit = (used: number, memory: number): string =>
  `it used ${used} MiB of memory, ${Math.round(memory / MEBIBYTE)} MiB are allowed`;

/** Of a thread's heap and what hangs on it, in bytes, even while it is in a loop; 0 where V8 does not tell (Node 20). */
async function memoryOf(thread: Worker | undefined): Promise<number> {
  try {
    const worker = thread as (Worker & { getHeapStatistics?(): Promise<HeapInfo> }) | undefined;
    const heap = await worker?.getHeapStatistics?.();
    return heap === undefined ? 0 : heap.used_heap_size + heap.external_memory;
  } catch {
    // It has ended.
    return 0;
  }
}

function loadOf(thread: Worker | undefined): () => number {
  if (thread === undefined) return () => 0;
  let last = thread.performance.eventLoopUtilization();
  return () => {
    const now = thread.performance.eventLoopUtilization();
    const active = now.active - last.active;
    const total = active + now.idle - last.idle;
    last = now;
    return total > 0 ? active / total : 0;
  };
}
