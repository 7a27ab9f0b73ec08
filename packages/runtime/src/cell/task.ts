// The Piscina task that is a cell's whole life, as the hull gives it to the thread.

import type { MessagePort } from 'node:worker_threads';
import type { Layer } from '../layers.js';

export interface CellTask {
  readonly carrier: { readonly fd: number } | { readonly port: MessagePort };
  /** Shared with the watchdog, which reads it even while the cell is in an endless loop. */
  readonly marks: SharedArrayBuffer;
}

/** What a cell leaves in the marks, so that it is known whose fault its end was. Ids are those of `call` records. */
export interface CellMarks {
  /** The call that was begun last; infinite when nothing is known but that the thread was free. */
  readonly begun: number;
  /** The call whose function is on the stack; 0 for none: then it is a continuation, a timer or a web request that runs. */
  readonly current: number;
  /** Calls that were answered, though the answers have not left. */
  readonly unsent: readonly number[];
}

/** Beside them: how many MiB the cell found itself using when it ended for that; 0 if it did not. */
export const readExcess = (marks: Int32Array): number => Atomics.load(marks, Mark.excess) >>> 0;

/** Whether the thread has taken the carrier, and so will close it. */
export const isTaken = (marks: Int32Array): boolean => Atomics.load(marks, Mark.taken) !== 0;

/** What stands at which index of the marks (an Int32Array). The ids of unsent answers follow their number. */
export const Mark = { begun: 0, current: 1, excess: 2, taken: 3, unsent: 4 } as const;
export const MOST_UNSENT = 256;
export const MARKS_BYTES = 4 * (Mark.unsent + 1 + MOST_UNSENT);

export function readMarks(marks: Int32Array): CellMarks {
  // Ids have 32 bits; the marks are signed. A thread that is not locked down could write any number here.
  const at = (index: number): number => Atomics.load(marks, index) >>> 0;
  const unsent = Math.min(at(Mark.unsent), MOST_UNSENT);
  return {
    begun: at(Mark.begun),
    current: at(Mark.current),
    unsent: Array.from({ length: unsent }, (_, index) => at(Mark.unsent + 1 + index)),
  };
}

/** What the pool tells every thread that it starts. */
export interface CellData {
  readonly isolation: 'compartment' | 'thread';
  /** What heap and external memory together may come to, in bytes. */
  readonly memory: number;
  /** Layers that a test has taken off. */
  readonly layersOff: readonly Layer[];
}
