// Looks at modules without starting them: each is loaded into a cell and told its configuration, because only then it says what
// it asks for, and ended again. It is not set up, so it gets no ModuleApi.

import type { ModuleStore } from '../api/storage.js';
import type { ModuleEntry, Permissions, Problem, RuntimeConfig } from '../config/entry.js';
import { Fleet, usualContainment } from './fleet.js';
import type { Cell } from './hull.js';
import { Life, StartFailure } from './life.js';
import { cellOptionsOf } from './module.js';
import { type Candidate, each, load, problemsOf } from './start.js';

export interface Inspected extends Candidate {
  readonly asked: Permissions;
}

export interface Inspection {
  /** In the order of the entries. */
  readonly modules: readonly Inspected[];
  readonly problems: readonly Problem[];
}

export async function inspectModules(
  entries: readonly ModuleEntry[],
  options: Pick<RuntimeConfig, 'containment' | 'sandbox'> & { readonly serverName: string },
): Promise<Inspection> {
  const fleet = new Fleet({
    containment: options.containment ?? usualContainment,
    sandbox: options.sandbox,
    spares: false,
    hullExited: () => {},
    warmUpFailed: () => {},
  });
  const problems: Problem[] = [];
  const modules: Inspected[] = [];
  try {
    await each(entries, async (entry) => {
      // Each in a hull of its own: one that ends its hull spoils nothing for the others. It starts while the module is loaded.
      const cell = fleet.take(cellOptionsOf(entry), true);
      const loaded = await load(entry);
      if ('problems' in loaded) {
        cell.kill();
        problems.push(...loaded.problems);
        return;
      }
      try {
        modules.push({ ...loaded, asked: await ask(loaded, cell, options.serverName) });
      } catch (error) {
        if (!(error instanceof StartFailure)) throw error;
        // That others could start without it is no help here.
        const faults = problemsOf(entry, error);
        problems.push(...faults.map((fault) => (fault.code === 'SetupFailed' ? { ...fault, hint: undefined } : fault)));
      }
    });
  } finally {
    await fleet.close();
  }
  modules.sort((a, b) => entries.indexOf(a.entry) - entries.indexOf(b.entry));
  return { modules, problems };
}

async function ask(candidate: Candidate, cell: Cell, serverName: string): Promise<Permissions> {
  const life = new Life(cell, {
    ...candidate,
    homeserver: { serverName },
    store: noStore,
    fetcher: { fetch: refuse, close: async () => {} },
    log: () => false,
    reservedPaths: [],
    denied: () => {},
    hostFailed: () => {},
    violated: () => cell.kill(),
    throttled: () => {},
    drained: () => {},
  });
  try {
    await life.load();
    await life.configure();
    return life.asked;
  } catch (error) {
    // That it is not granted keeps it from starting, not from being looked at.
    if (error instanceof StartFailure && error.code === 'NotGranted') return life.asked;
    throw error;
  } finally {
    cell.kill();
  }
}

const notThere = (): Error => new Error('a module that is looked at has no ModuleApi');
const refuse = (): Promise<never> => Promise.reject(notThere());
const noStore: ModuleStore = { get: refuse, set: refuse, delete: refuse, increment: refuse, list: refuse };
