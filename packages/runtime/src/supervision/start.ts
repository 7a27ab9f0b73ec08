// From entries of a configuration to modules that are set up, or to every problem that stands in the way: one phase is
// finished for all modules before the next begins, so that all that is wrong is told in one run.

import { availableParallelism } from 'node:os';
import { closeNames, type Homeserver } from '@bulkhead/sdk/contract';
import type { Fetcher } from '../api/network.js';
import { noNetwork } from '../api/no-network.js';
import type { ModuleStore } from '../api/storage.js';
import type { Fault, ModuleEntry, Problem } from '../config/entry.js';
import { problemAt, says } from '../config/problem.js';
import type { Lock } from '../integrity/lock.js';
import { asksFault, scriptFault } from '../integrity/verify.js';
import { type Bundle, bundleModule, type Maker } from '../loading/bundle.js';
import { createDenialLog, createModuleLog, type Logger } from '../observe/log.js';
import { Instances } from './instances.js';
import { type Life, StartFailure } from './life.js';
import { type ModuleServices, SupervisedModule } from './module.js';
import { bundleApart, findModule } from './workshop.js';

export interface StartServices extends ModuleServices {
  readonly homeserver: Homeserver;
  readonly logger: Logger;
  readonly reservedPaths: readonly string[];
  /** Makes bundles, or has them. */
  readonly bundle: Maker;
  storeOf(entry: ModuleEntry): ModuleStore;
}

/** An instance whose first life is set up and waits for being adopted. */
export interface StartedMember {
  readonly module: SupervisedModule;
  /** `undefined`: it could not be set up, and need not be. */
  readonly life: Life | undefined;
  readonly cause: string;
}

export interface Started {
  readonly modules: readonly Instances[];
  readonly members: readonly StartedMember[];
  readonly problems: readonly Problem[];
}

/** Starting a cell takes a core for a fifth of a second: more at once would only make all of them late. */
const ABREAST = availableParallelism();

/**
 * @param isKept whether such a module runs already and shall go on
 * @param lock what the modules have to be
 */
export async function startModules(
  entries: readonly ModuleEntry[],
  services: StartServices,
  isKept: (candidate: Candidate) => boolean,
  lock: Lock | undefined,
): Promise<Started> {
  const problems: Problem[] = [];
  const candidates: Candidate[] = [];
  await each(entries, async (entry) => {
    const loaded = await load(entry, services.bundle);
    if ('problems' in loaded) {
      problems.push(...loaded.problems);
      return;
    }
    const wrong = scriptFault(entry, loaded.bundle, lock);
    if (wrong) problems.push(problemAt(entry, wrong.fault, [wrong.key]));
    else if (!isKept(loaded)) candidates.push(loaded);
  });
  // Whatever finished first: modules stand in the order of the configuration.
  candidates.sort((a, b) => entries.indexOf(a.entry) - entries.indexOf(b.entry));

  for (const { entry } of candidates) warnOfTrust(entry, services.logger);
  const groups = await Promise.all(
    candidates.map((candidate) => {
      const begin = async () => new Beginning(candidate, services, lock, await fetcherOf(candidate.entry));
      return Promise.all(Array.from({ length: candidate.entry.instances }, begin));
    }),
  );
  const modules = groups.map((group) => new Instances(group.map(({ module }) => module)));
  const begun = groups.flat();
  await each(begun, (beginning) => beginning.configure());
  await each(begun, (beginning) => beginning.setUp());
  // Again for those whose hull was taken down by another one's set-up.
  await each(begun, (beginning) => beginning.setUp());
  problems.push(...distinct(begun.flatMap((beginning) => beginning.problems)));
  return { problems, modules, members: begun.map(({ module, life, cause }) => ({ module, life, cause })) };
}

/** What is wrong with one instance is mostly wrong with all of them. */
const distinct = (problems: readonly Problem[]): readonly Problem[] => [
  ...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values(),
];

/** Ends what was started and will not be used. */
export function discard({ members }: Started): void {
  for (const { module, life } of members) {
    if (life !== undefined) module.abandon(life);
    module.stop();
  }
}

/** A module that is loaded: what it would run is known. */
export interface Candidate {
  readonly entry: ModuleEntry;
  readonly bundle: Bundle;
  readonly exportName: string;
}

/** What was made is remembered as long as this process lives. */
export const bundleInMemory: Maker = (request) => bundleModule(request, bundleApart);

export async function load(
  entry: ModuleEntry,
  bundle: Maker = bundleInMemory,
): Promise<Candidate | { readonly problems: readonly Problem[] }> {
  const { specifier, baseDir, isolation } = entry;
  const resolved = await findModule(specifier, baseDir, isolation);
  const result = resolved.ok ? await bundle({ file: resolved.file, isolation, baseDir }) : resolved;
  if (!result.ok) return { problems: result.faults.map((fault) => problemAt(entry, fault, ['module'])) };
  return { entry, bundle: result, exportName: (resolved as { exportName: string }).exportName };
}

async function fetcherOf({ permissions: { network } }: ModuleEntry): Promise<Fetcher> {
  if (network.length === 0) return noNetwork;
  const { createFetcher } = await import('../api/network.js');
  return createFetcher({ grants: network });
}

function warnOfTrust({ id, isolation }: ModuleEntry, logger: Logger): void {
  if (isolation !== 'thread') return;
  logger.warn(
    { module: id },
    `${id} runs with isolation: thread and has to be trusted: the network and descriptors are open to it`,
  );
}

class Beginning {
  readonly module: SupervisedModule;
  readonly problems: Problem[] = [];
  life: Life | undefined;
  cause = '';
  #isSetUp = false;
  readonly #entry: ModuleEntry;
  readonly #lock: Lock | undefined;

  constructor(
    { entry, bundle, exportName }: Candidate,
    services: StartServices,
    lock: Lock | undefined,
    fetcher: Fetcher,
  ) {
    this.#entry = entry;
    this.#lock = lock;
    this.module = new SupervisedModule(
      {
        entry,
        bundle,
        exportName,
        homeserver: services.homeserver,
        store: services.storeOf(entry),
        fetcher,
        log: createModuleLog(services.logger, entry.id),
        reservedPaths: services.reservedPaths,
        denied: createDenialLog(services.logger, entry.id),
        hostFailed: (method, err) =>
          services.logger.error({ module: entry.id, err }, `${method} failed, which ${entry.id} had called`),
      },
      services,
    );
  }

  async configure(): Promise<void> {
    await this.#attempt(async () => {
      if (this.life !== undefined) this.module.abandon(this.life);
      this.life = this.module.newLife();
      await this.life.load();
      await this.life.configure();
    });
    if (this.life === undefined) return;
    const fault = asksFault(this.#entry, this.life.asked, this.#lock);
    if (fault === undefined) return;
    this.module.abandon(this.life);
    this.life = undefined;
    this.problems.push(problemAt(this.#entry, fault, ['module']));
  }

  /** Does nothing when that is done, or can't be. */
  async setUp(): Promise<void> {
    if (this.life === undefined || (this.#isSetUp && !this.life.channel.closed)) return;
    await this.#attempt(async () => {
      if (this.life?.channel.closed) await this.configure();
      await this.life?.setUp();
      this.#isSetUp = this.life !== undefined;
    });
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      await this.module.orAlone(step);
    } catch (error) {
      if (this.life !== undefined) this.module.abandon(this.life);
      this.life = undefined;
      const failure =
        error instanceof StartFailure
          ? error
          : new StartFailure('SetupFailed', error instanceof Error ? error.message : String(error));
      this.cause = failure.message;
      const optional = !this.#entry.required && !THE_ADMINS.includes(failure.code);
      if (!optional) this.problems.push(...problemsOf(this.#entry, failure));
    }
  }
}

/** What an admin has to put right, whether the module is required or not. */
const THE_ADMINS: readonly StartFailure['code'][] = ['ExportNotFound', 'ConfigRejected', 'NotGranted', 'NotStateless'];

export function problemsOf(
  entry: ModuleEntry,
  { code, message, issues, exports, hint }: StartFailure,
): readonly Problem[] {
  const atModule = (fault: Fault): readonly Problem[] => [problemAt(entry, fault, ['module'])];
  switch (code) {
    case 'ExportNotFound': {
      const wanted = /"(.*)"/.exec(message)?.[1] ?? '';
      const [close] = closeNames(wanted, exports);
      const there = exports.length === 0 ? 'the module exports nothing' : `the module exports ${exports.join(', ')}`;
      return atModule({ code, message, hint: close === undefined ? there : `did you mean "${close}"? ${there}` });
    }
    case 'ConfigRejected':
      return (issues.length > 0 ? issues : [{ message, path: [] }]).map((issue) =>
        problemAt(entry, { code, message: issue.message, hint: undefined }, ['config', ...issue.path]),
      );
    case 'InvalidPermissions':
      return atModule({ code, message, hint });
    case 'NotGranted':
      return [problemAt(entry, { code, message, hint }, [says(entry, 'permissions') ? 'permissions' : 'module'])];
    case 'NotStateless':
      return [problemAt(entry, { code, message, hint }, [says(entry, 'instances') ? 'instances' : 'module'])];
    case 'SetupFailed':
    case 'CellLost':
      return atModule({
        code: 'SetupFailed',
        message,
        hint: hint ?? 'with required: false the others start without it',
      });
    case 'SetupTimedOut':
      return atModule({ code, message, hint: 'setup_timeout gives it more time' });
  }
}

/** Runs a step for each item, as many abreast as there are cores. */
export async function each<T>(items: readonly T[], step: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: Math.min(ABREAST, items.length) }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await step(item);
    }),
  );
}
