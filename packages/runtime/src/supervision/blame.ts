// Who ended a hull. V8 aborts a process without a word about the thread that drove it there; what is left is what the
// watchdog said before, and which modules had anything running.

import type { Cell, Hull, HullExit } from './hull.js';
import type { HullRole, SupervisedModule } from './module.js';

/** An end of which nobody is suspected is let pass once; if another follows so soon, everybody is. */
const UNKNOWN_WINDOW_MS = 60_000;

export interface Blame {
  readonly roles: ReadonlyMap<SupervisedModule, HullRole>;
  readonly suspects: readonly SupervisedModule[];
  /** Whether there is no doubt: it was alone, or alone was busy, or did not let itself be ended. */
  readonly known: boolean;
}

export class Blamer {
  #unknownAt = Number.NEGATIVE_INFINITY;

  /** @param inhabitants the modules that had a life in the hull, and the one because of which it was ended */
  judge(hull: Hull, exit: HullExit, inhabitants: readonly SupervisedModule[]): Blame {
    const whose = (cells: Iterable<Cell>): readonly SupervisedModule[] =>
      inhabitants.filter((module) => [...cells].some((cell) => module.livedIn(cell)));
    const named = exit.culprit === undefined ? undefined : whose([exit.culprit]);
    const busy = whose(exit.busy);
    const suspects = named ?? this.#suspects(hull, exit, busy, inhabitants);
    const isAlone = inhabitants.length === 1 || named !== undefined || (exit.busy.size === 1 && busy.length === 1);
    const known = suspects.length === 1 && isAlone;
    const roles = new Map<SupervisedModule, HullRole>(inhabitants.map((module) => [module, 'innocent']));
    for (const module of suspects) {
      // Whoever ends a hull in which it was alone gets no third one at once.
      roles.set(module, inhabitants.length === 1 && module.hasOwnHull ? 'culprit' : 'suspect');
    }
    return { roles, suspects, known };
  }

  #suspects(
    hull: Hull,
    exit: HullExit,
    busy: readonly SupervisedModule[],
    inhabitants: readonly SupervisedModule[],
  ): readonly SupervisedModule[] {
    const asked = inhabitants.filter((module) => module.isAskedIn(hull));
    // One that has begun nothing yet may be busy with its start, and those who were asked did it.
    const isStart = [...exit.busy].every((cell) => cell.marks().begun === 0);
    if (busy.length > 0) return isStart ? [...new Set([...busy, ...asked])] : busy;
    // What was busy was a module in its first set-up: it fails there, and is named there.
    if (exit.busy.size > 0) return [];
    if (inhabitants.length === 1) return inhabitants;
    if (asked.length > 0) return asked;
    const again = performance.now() - this.#unknownAt < UNKNOWN_WINDOW_MS;
    this.#unknownAt = performance.now();
    return again ? inhabitants : [];
  }
}
