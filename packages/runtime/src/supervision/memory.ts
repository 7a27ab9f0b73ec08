// What a hull holds in memory, seen from outside: buffers that no limit of V8's counts, in a thread that never gives itself back.

import { layers } from '../layers.js';
import type { Cell, Hull } from './hull.js';
import { residentBytes } from './process.js';

export interface MemoryWatch {
  stop(): void;
}

const MEBIBYTE = 1 << 20;
/** Buffers grow by up to 1 GB a second. */
const LOOK_MS = 50;
/** What a hull takes without any cell, and what a cell takes without any module. */
const HULL_BYTES = 112 * MEBIBYTE;
const CELL_BYTES = 24 * MEBIBYTE;
/** What one busy cell may add beyond its limit before it alone is ended. */
const SLACK_BYTES = 48 * MEBIBYTE;
/** What ended threads held is given back to the system in its own time. */
const AFTERGLOW_MS = 30_000;
/** A thread that was told to end has so much time to give its memory back. */
const GRACE_MS = 200;

/** Where the system tells. Elsewhere V8's limits and the cells' own looks have to do. */
export function watchMemory(hull: Hull): MemoryWatch | undefined {
  if (process.platform !== 'linux') return undefined;
  /** Which thread alone is busy with which call, and what was resident when that began. */
  let since: { readonly only: Cell | undefined; readonly call: number; readonly resident: number } = {
    only: undefined,
    call: 0,
    resident: 0,
  };
  /** Cells, and when each was there. */
  const seen = new Map<Cell, number>();
  let graceUntil = 0;

  const allowedAt = (now: number): number => {
    for (const cell of hull.cells) seen.set(cell, now);
    let allowed = HULL_BYTES;
    for (const [cell, at] of seen) {
      if (now - at > AFTERGLOW_MS) seen.delete(cell);
      else allowed += cell.memory + CELL_BYTES;
    }
    return allowed;
  };

  const judge = (resident: number): void => {
    const now = performance.now();
    const busy = [...hull.cells].filter((cell) => cell.isBusy());
    const only = busy.length === 1 ? busy[0] : undefined;
    const call = only?.marks().current ?? 0;
    if (only !== since.only || call !== since.call) since = { only, call, resident };
    const grown = resident - since.resident;
    // Threads that give themselves back now and then look at themselves, and what grows meanwhile may be the others'.
    const isExcessive = only !== undefined && call !== 0 && grown > only.memory + SLACK_BYTES;
    const allowed = allowedAt(now);
    if ((!isExcessive && resident <= allowed) || !layers.has('memory')) return;
    // One that alone is busy is told to end first; if that does not help, or it is nobody, the hull has to go.
    if (only !== undefined && resident <= 2 * allowed && graceUntil === 0) {
      graceUntil = now + GRACE_MS;
      const excess = Math.round(grown / MEBIBYTE);
      only.kill({ cause: `it used about ${excess} MiB of memory, ${mebibytes(only.memory)} are allowed`, excess });
    } else if (now > graceUntil || resident > 2 * allowed) {
      hull.crash(`it used ${mebibytes(resident)} of memory, ${mebibytes(allowed)} are allowed`);
    }
  };

  const look = (): void => {
    if (hull.pid === undefined) return;
    try {
      judge(residentBytes(hull.pid));
    } catch {
      // It has ended.
    }
    if (performance.now() > graceUntil) graceUntil = 0;
  };
  const timer = setInterval(look, LOOK_MS).unref();
  return { stop: () => clearInterval(timer) };
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / MEBIBYTE)} MiB`;
