// Looks at the threads from outside: it sees a loop that the thread itself will never tell of.

import type { CellMarks } from '../cell/task.js';
import type { PooledCell } from './pool.js';

/** How often it looks; who was busy for two looks in a row is told. */
const LOOK_MS = 20;
/** From this share of the time on a thread counts as busy without a pause. */
const BUSY = 0.9;

export interface Busy<K> {
  readonly key: K;
  readonly marks: CellMarks;
}

/**
 * @param told is called whenever the list has changed: what was said before is all that can be learnt of a process that V8 aborts
 * @returns stops it
 */
export function watchCells<K>(cells: ReadonlyMap<K, PooledCell>, told: (busy: readonly Busy<K>[]) => void): () => void {
  let before = new Set<K>();
  let last: readonly Busy<K>[] = [];
  const look = (): void => {
    const now = new Set<K>();
    const busy: Busy<K>[] = [];
    for (const [key, cell] of cells) {
      if (cell.load() < BUSY) continue;
      now.add(key);
      if (before.has(key)) busy.push({ key, marks: cell.marks() });
    }
    before = now;
    if (isSame(busy, last)) return;
    last = busy;
    told(busy);
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
