// Signs of life: a cell that answers late is told from one whose event loop is blocked. Only the latter is ended.

import type { Call } from '../dispatch/call.js';
import type { Pong } from '../dispatch/channel.js';
import { layers } from '../layers.js';
import type { Life } from './life.js';

/** A cell that was asked for a sign of life and gives none for so long is blocked. */
const PING_MS = 100;
/** The same while the watchdog does not see it busy: its thread may be waiting for a core. */
const STARVED_MS = 400;

export interface VigilOptions {
  /** How long the module may at most keep its event loop to itself, in milliseconds. */
  readonly longestMs: () => number;
  /** `counted`: the failure that made us look was counted against the module already. */
  readonly blocked: (life: Life, cause: string, counted: boolean) => void;
  readonly measured: (pong: Pong) => void;
}

export class Vigil {
  readonly #options: VigilOptions;
  /** Lives that were asked for a sign because a call of theirs is overdue. */
  readonly #doubted = new Set<Life>();
  #looked: { readonly life: Life; readonly at: number } | undefined;

  constructor(options: VigilOptions) {
    this.#options = options;
  }

  /** Whether the call stands in line behind one that keeps the thread busy. */
  isBehind({ cell }: Life, call: Call): boolean {
    return cell.isBusy() && call.recordId > cell.marks().begun;
  }

  /** Whether it is being asked for a sign of life. */
  doubts(life: Life): boolean {
    return this.#doubted.has(life);
  }

  /** Something took too long: is it late, or is the event loop blocked? */
  async doubt(life: Life, what: string, counted: boolean): Promise<void> {
    if (this.#doubted.has(life)) return;
    this.#doubted.add(life);
    // A first sign may leave before what was read together with the question has begun to run; a second one comes after it.
    const isAlive = (await hasSign(life)) && (await hasSign(life));
    this.#doubted.delete(life);
    if (isAlive || life.channel.closed || !layers.has('vigil')) return;
    // What it has begun since has time of its own; when that is over we are here again.
    const running = life.channel.pending(life.cell.marks().current);
    if (life.cell.isBusy() && running !== undefined && running.msLeft > 0) return;
    this.#options.blocked(life, `no sign of life since ${what}`, counted);
  }

  /** Now and then, for loops that no call waits for. */
  look(life: Life): void {
    if (this.#looked?.life === life) {
      if (layers.has('vigil') && performance.now() - this.#looked.at > this.#options.longestMs()) {
        this.#looked = undefined;
        this.#options.blocked(life, 'its event loop is blocked', false);
      }
      return;
    }
    const looked = { life, at: performance.now() };
    this.#looked = looked;
    void life.channel.ping().then((pong) => {
      if (this.#looked === looked) this.#looked = undefined;
      this.#options.measured(pong);
    });
  }
}

async function hasSign({ channel, cell }: Life): Promise<boolean> {
  const pong = channel.ping();
  const isThere = await Promise.race([pong, sleep(PING_MS)]);
  if (isThere !== undefined) return true;
  return !cell.isBusy() && (await Promise.race([pong, sleep(STARVED_MS)])) !== undefined;
}

export function sleep(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms, undefined);
  });
}
