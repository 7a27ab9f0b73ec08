// Looks at the threads from outside: it sees a loop that the thread itself will never tell of.

import type { CellMarks } from '../cell/task.js';
import type { PooledCell } from './pool.js';

/** How often it looks; who was busy for two looks in a row is told. */
const LOOK_MS = 20;
/** From this share of the time on a thread counts as busy without a pause. */
const BUSY = 0.9;
/** The memory of a thread that has done anything is looked at this often, in looks: buffers grow by 1 GB a second. */
const MEMORY_LOOKS = 2;
/** How often everybody's usage is told, in looks. */
const USAGE_LOOKS = 50;

export interface Busy<K> {
  readonly key: K;
  readonly marks: CellMarks;
}

export interface Usage<K> {
  readonly key: K;
  /** The share of the last second in which the thread was busy, from 0 to 1. */
  readonly cpu: number;
}

export interface WatchdogReports<K> {
  /** Called whenever the list has changed: what was said before is all that can be learnt of a process that V8 aborts. */
  busy(cells: readonly Busy<K>[]): void;
  /** Called once a second. */
  usage(cells: readonly Usage<K>[]): void;
}

/** @returns stops it */
export function watchCells<K>(cells: ReadonlyMap<K, PooledCell>, reports: WatchdogReports<K>): () => void {
  let before = new Set<K>();
  let last: readonly Busy<K>[] = [];
  let looks = 0;
  const sums = new Map<K, number>();

  const look = (): void => {
    looks++;
    const now = new Set<K>();
    const busy: Busy<K>[] = [];
    for (const [key, cell] of cells) {
      const load = cell.load();
      sums.set(key, (sums.get(key) ?? 0) + load);
      if (looks % MEMORY_LOOKS === 0 && load > 0) cell.checkMemory();
      if (load < BUSY) continue;
      now.add(key);
      if (before.has(key)) busy.push({ key, marks: cell.marks() });
    }
    before = now;
    if (!isSame(busy, last)) {
      last = busy;
      reports.busy(busy);
    }
    if (looks % USAGE_LOOKS === 0) {
      reports.usage([...cells.keys()].map((key) => ({ key, cpu: (sums.get(key) ?? 0) / USAGE_LOOKS })));
      sums.clear();
    }
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return () => clearInterval(timer);
}

const isSame = <K>(a: readonly Busy<K>[], b: readonly Busy<K>[]): boolean =>
  a.length === b.length &&
  a.every(({ key, marks }, index) => {
    const other = b[index] as Busy<K>;
    return key === other.key && marks.begun === other.marks.begun && marks.current === other.marks.current;
  });
