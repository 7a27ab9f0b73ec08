// Who ended a hull. V8 aborts a process without a word about the thread that drove it there; what is left is what the
// watchdog said before, and which modules had anything running.

import type { Hull, HullExit } from './hull.js';
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
  /** Modules whose threads could not be ended, by the hull that had to go because of them. */
  readonly #stubborn = new Map<Hull, SupervisedModule>();
  #unknownAt = Number.NEGATIVE_INFINITY;

  /** The host ends the hull itself, because of that module. */
  name(hull: Hull, module: SupervisedModule): void {
    if (!this.#stubborn.has(hull)) this.#stubborn.set(hull, module);
  }

  /** @param inhabitants the modules that had a life in the hull */
  judge(hull: Hull, exit: HullExit, inhabitants: readonly SupervisedModule[]): Blame {
    const stubborn = this.#stubborn.get(hull);
    this.#stubborn.delete(hull);
    const suspects = stubborn === undefined ? this.#suspects(hull, exit, inhabitants) : [stubborn];
    const isOnlyBusy =
      exit.busy.size === 1 && suspects.some((module) => [...exit.busy].some((cell) => module.livesIn(cell)));
    const known = suspects.length === 1 && (stubborn !== undefined || inhabitants.length === 1 || isOnlyBusy);
    const roles = new Map<SupervisedModule, HullRole>(inhabitants.map((module) => [module, 'innocent']));
    for (const module of suspects) {
      // Whoever ends a hull in which it was alone gets no third one at once.
      roles.set(module, inhabitants.length === 1 && module.hasOwnHull ? 'culprit' : 'suspect');
    }
    return { roles, suspects, known };
  }

  #suspects(hull: Hull, { busy }: HullExit, inhabitants: readonly SupervisedModule[]): readonly SupervisedModule[] {
    const busyModules = inhabitants.filter((module) => [...busy].some((cell) => module.livesIn(cell)));
    if (busyModules.length > 0) return busyModules;
    // What was busy was a module in its first set-up: it fails there, and is named there.
    if (busy.size > 0) return [];
    if (inhabitants.length === 1) return inhabitants;
    const asked = inhabitants.filter((module) => module.isAskedIn(hull));
    if (asked.length > 0) return asked;
    const again = performance.now() - this.#unknownAt < UNKNOWN_WINDOW_MS;
    this.#unknownAt = performance.now();
    return again ? inhabitants : [];
  }
}
