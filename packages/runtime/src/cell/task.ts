// The Piscina task that is a cell's whole life, as the hull gives it to the thread.

import type { MessagePort } from 'node:worker_threads';
import type { Layer } from '../layers.js';

export interface CellTask {
  readonly carrier: { readonly fd: number } | { readonly port: MessagePort };
  /** Shared with the watchdog, which reads it even while the cell is in an endless loop. */
  readonly marks: SharedArrayBuffer;
}

/** What stands at which index of the marks (an Int32Array). */
export const Mark = {
  /** The id of the call that was begun last. */
  begun: 0,
} as const;

export const MARKS_BYTES = 4 * Object.keys(Mark).length;

/** What the pool tells every thread that it starts. */
export interface CellData {
  readonly isolation: 'compartment' | 'thread';
  /** Layers that a test has taken off. */
  readonly layersOff: readonly Layer[];
}
