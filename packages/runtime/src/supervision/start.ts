// From entries of a configuration to modules that are set up, or to every problem that stands in the way: one phase is
// finished for all modules before the next begins, so that all that is wrong is told in one run.

import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { closeNames, type Homeserver } from '@bulkhead/sdk/contract';
import { createFetcher } from '../api/network.js';
import type { ModuleStore } from '../api/storage.js';
import type { ModuleEntry, Problem } from '../config/entry.js';
import { problemAt } from '../config/problem.js';
import { type Bundle, bundleModule } from '../loading/bundle.js';
import { resolveModule } from '../loading/resolve.js';
import { createModuleLog, type Logger } from '../observe/log.js';
import { type Life, StartFailure } from './life.js';
import { type ModuleServices, SupervisedModule } from './module.js';

export interface StartServices extends ModuleServices {
  readonly homeserver: Homeserver;
  readonly logger: Logger;
  storeOf(entry: ModuleEntry): ModuleStore;
}

/** A module whose first life is set up and waits for being adopted. */
export interface StartedModule {
  readonly module: SupervisedModule;
  /** `undefined`: it could not be set up, and need not be. */
  readonly life: Life | undefined;
  readonly cause: string;
}

export interface Started {
  readonly modules: readonly StartedModule[];
  readonly problems: readonly Problem[];
}

const insideEntry = fileURLToPath(new URL('../cell/inside/connect.js', import.meta.url));

/** Starting a cell takes a core for a fifth of a second: more at once would only make all of them late. */
const ABREAST = availableParallelism();

export async function startModules(entries: readonly ModuleEntry[], services: StartServices): Promise<Started> {
  const problems: Problem[] = [];
  const candidates: Candidate[] = [];
  await each(entries, async (entry) => {
    const loaded = await load(entry);
    if ('problems' in loaded) problems.push(...loaded.problems);
    else candidates.push(loaded);
  });
  // Whatever finished first: modules stand in the order of the configuration.
  candidates.sort((a, b) => entries.indexOf(a.entry) - entries.indexOf(b.entry));

  const begun = candidates.map((candidate) => new Beginning(candidate, services));
  await each(begun, (beginning) => beginning.configure());
  await each(begun, (beginning) => beginning.setUp());
  problems.push(...begun.flatMap((beginning) => beginning.problems));
  return {
    problems,
    modules: begun.map(({ module, life, cause }) => ({ module, life, cause })),
  };
}

/** Ends what was started and will not be used. */
export function discard({ modules }: Started): void {
  for (const { module, life } of modules) {
    life?.cell.kill();
    module.stop();
  }
}

interface Candidate {
  readonly entry: ModuleEntry;
  readonly bundle: Bundle;
  readonly exportName: string;
}

async function load(entry: ModuleEntry): Promise<Candidate | { readonly problems: readonly Problem[] }> {
  const resolved = await resolveModule(entry.specifier, entry.baseDir, entry.isolation);
  const result = resolved.ok
    ? await bundleModule({ file: resolved.file, insideEntry, isolation: entry.isolation })
    : resolved;
  if (!result.ok) return { problems: result.faults.map((fault) => problemAt(entry, fault, ['module'])) };
  return { entry, bundle: result, exportName: (resolved as { exportName: string }).exportName };
}

class Beginning {
  readonly module: SupervisedModule;
  readonly problems: Problem[] = [];
  life: Life | undefined;
  cause = '';
  readonly #entry: ModuleEntry;
  readonly #logger: Logger;

  constructor({ entry, bundle, exportName }: Candidate, services: StartServices) {
    this.#entry = entry;
    this.#logger = services.logger;
    this.module = new SupervisedModule(
      {
        entry,
        bundle,
        exportName,
        homeserver: services.homeserver,
        store: services.storeOf(entry),
        fetcher: createFetcher({ grants: entry.permissions.network }),
        log: createModuleLog(services.logger, entry.id),
        hostFailed: (method, err) =>
          services.logger.error({ module: entry.id, err }, `${method} failed, which ${entry.id} had called`),
      },
      services,
    );
  }

  async configure(): Promise<void> {
    if (this.#entry.isolation === 'thread') this.#warnOfTrust();
    await this.#attempt(async () => {
      this.life = this.module.newLife();
      await this.life.load();
      await this.life.configure();
    });
  }

  #warnOfTrust(): void {
    const { id } = this.#entry;
    this.#logger.warn(
      { module: id },
      `${id} runs with isolation: thread and has to be trusted: the network, signals and descriptors are open to it`,
    );
  }

  async setUp(): Promise<void> {
    if (this.life !== undefined) await this.#attempt(() => (this.life as Life).setUp(), 'setUp');
  }

  /** A module whose cell is lost with its hull may be innocent: alone in a hull it shows. */
  async #attempt(step: () => Promise<void>, phase: 'configure' | 'setUp' = 'configure'): Promise<void> {
    try {
      try {
        await step();
      } catch (error) {
        if (!(error instanceof StartFailure && error.code === 'CellLost' && error.withHull)) throw error;
        this.module.quarantine();
        this.life = this.module.newLife();
        await this.life.load();
        await this.life.configure();
        if (phase === 'setUp') await this.life.setUp();
      }
    } catch (error) {
      this.life?.cell.kill();
      this.life = undefined;
      const failure =
        error instanceof StartFailure
          ? error
          : new StartFailure('SetupFailed', error instanceof Error ? error.message : String(error));
      this.cause = failure.message;
      const optional = !this.#entry.required && failure.code !== 'ExportNotFound' && failure.code !== 'ConfigRejected';
      if (!optional) this.problems.push(problemOf(this.#entry, failure));
    }
  }
}

function problemOf(entry: ModuleEntry, { code, message, path, exports }: StartFailure): Problem {
  switch (code) {
    case 'ExportNotFound': {
      const wanted = /"(.*)"/.exec(message)?.[1] ?? '';
      const [close] = closeNames(wanted, exports);
      const there = exports.length === 0 ? 'the module exports nothing' : `the module exports ${exports.join(', ')}`;
      return problemAt(
        entry,
        { code, message, hint: close === undefined ? there : `did you mean "${close}"? ${there}` },
        ['module'],
      );
    }
    case 'ConfigRejected':
      return problemAt(entry, { code, message, hint: undefined }, ['config', ...path]);
    case 'SetupFailed':
    case 'CellLost':
      return problemAt(
        entry,
        { code: 'SetupFailed', message, hint: 'with required: false the others start without it' },
        ['module'],
      );
    case 'SetupTimedOut':
      return problemAt(entry, { code, message, hint: 'setup_timeout gives it more time' }, ['module']);
  }
}

/** Runs a step for each item, as many abreast as there are cores. */
async function each<T>(items: readonly T[], step: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: Math.min(ABREAST, items.length) }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await step(item);
    }),
  );
}
