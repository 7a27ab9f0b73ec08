// Puts the rooms of the house together: configuration, supervision, dispatch and web resources behind one object.

import { join } from 'node:path';
import { type CallbackName, type Category, callbackNames, callbacks, type Homeserver } from '@bulkhead/sdk/contract';
import type { StorageBackend } from './api/backend.js';
import { createRateLimit, type RateLimit } from './api/quota.js';
import { createStorage, type ModuleStore, openStorage, type Storage } from './api/storage.js';
import type { ModuleEntry, Problem, RuntimeConfig } from './config/entry.js';
import { ConfigurationError, inOrder } from './config/problem.js';
import { type ConfigSource, readConfig } from './config/read.js';
import { chain, Dispatcher } from './dispatch/dispatcher.js';
import { BulkheadError } from './dispatch/errors.js';
import { type LockRead, lockFileBeside, readLock } from './integrity/lock.js';
import { DiskCache } from './loading/disk-cache.js';
import type { CallbackMethods, ModuleEvents, Modules } from './modules.js';
import { type Logger, withPlainMessages } from './observe/log.js';
import { Blamer } from './supervision/blame.js';
import { Fleet, usualContainment } from './supervision/fleet.js';
import { type CellOptions, type Hull, type HullExit, sandboxOf } from './supervision/hull.js';
import type { Instances } from './supervision/instances.js';
import { cellOptionsOf, livesAlone, type SupervisedModule } from './supervision/module.js';
import {
  bundleInMemory,
  type Candidate,
  discard,
  type Started,
  type StartServices,
  startModules,
} from './supervision/start.js';
import { bundleApart, prepareWorkshop } from './supervision/workshop.js';
import { answerRequest, unavailable } from './web/answer.js';
import { createRoutes, findRoute, type Route } from './web/routes.js';

export interface RuntimeOptions {
  /** The YAML file. Its `bulkhead`, `modules` and `module_defaults` are read, the rest is yours. */
  readonly configFile?: string;
  /** Instead of a file: the parsed content, or text with the name that messages shall give it. */
  readonly config?: object | { readonly text: string; readonly file: string };
  /** What the ModuleApi may reach. */
  readonly homeserver: Homeserver;
  /** Where modules' storage goes: a folder, or a table of your own. Default: the file's `bulkhead.storage`. */
  readonly storage?: string | StorageBackend;
  readonly logger?: Logger;
  /** `thread` keeps the cells in this process: for those who may not spawn one. The documentation says what is lost. */
  readonly containment?: 'process' | 'thread';
  /**
   * Where the lock is that `bulkhead lock` writes: a file's path, or `false` to look at none. Default: `modules.lock` beside the
   * configuration's file; for parsed content there is none.
   */
  readonly lockFile?: string | false;
  /** Whether warm cells wait for modules that are lost. Default: the file's `bulkhead.spares`. */
  readonly spares?: boolean;
  /** Paths that modules may not register, besides those of the specification. */
  readonly reservedPaths?: readonly string[];
  /** How many bytes the body of a web resource's request (default 10 MiB) and response (50 MiB) may have. */
  readonly webLimits?: { readonly request?: number; readonly response?: number };
}

/**
 * Starts the modules of a configuration.
 * @returns when every module is set up
 * @throws ConfigurationError with everything that is wrong, each with its place; then nothing was started
 */
export async function createModuleRuntime(options: RuntimeOptions): Promise<Modules> {
  const wanted = read(options, options.lockFile);
  const logger = withPlainMessages(options.logger ?? (await usualLogger()));
  const runtime = new Runtime(options, logger, wanted.config);
  // Hulls do not keep the process alive; a process that has nothing else to do yet would end before they are there.
  const awake = setInterval(() => {}, WATCH_MS);
  try {
    await runtime.start(wanted);
  } catch (error) {
    await runtime.close({ drainMs: 0 });
    throw error;
  } finally {
    clearInterval(awake);
  }
  return facade(runtime);
}

async function usualLogger(): Promise<Logger> {
  const { pino } = await import('pino');
  const logger: Logger = pino({ name: 'bulkhead' });
  return logger;
}

const DRAIN_MS = 5_000;
const WATCH_MS = 1_000;

class Runtime {
  readonly #options: RuntimeOptions;
  readonly #logger: Logger;
  readonly #fleet: Fleet;
  readonly #dispatcher: Dispatcher;
  readonly #blamer = new Blamer();
  #restarts: RateLimit;
  readonly #listeners = new Map<keyof ModuleEvents, Set<(data: never) => void>>();
  readonly #watch: NodeJS.Timeout;
  #storage: Storage | undefined;
  /** Beside what modules store; with an embedder's own table there is no place for it. */
  #bundles: DiskCache | undefined;
  #config: RuntimeConfig;
  #modules: readonly Instances[] = [];
  /** Those whose place was taken, while they answer what they were asked. */
  readonly #retiring = new Set<SupervisedModule>();
  /** Who is to be asked now; without an entry nobody. */
  #registered = new Map<CallbackName, () => readonly SupervisedModule[]>();
  #routes: readonly Route[] = [];
  #closing: Promise<void> | undefined;
  #isDraining = false;
  /** What was said about web resources: each thing once, however often the index is made anew. */
  readonly #warned = new Set<string>();
  #reloading: Promise<void> = Promise.resolve();
  #moving = false;

  constructor(options: RuntimeOptions, logger: Logger, config: RuntimeConfig) {
    this.#options = options;
    this.#logger = logger;
    this.#config = config;
    this.#restarts = restartLimit(config);
    const containment = options.containment ?? config.containment ?? usualContainment;
    if (containment === 'thread') {
      logger.warn(
        { containment },
        'modules run in this process: one that exhausts memory can end it, and not every loop can be stopped',
      );
    }
    if (containment === 'process') this.#checkSandbox();
    this.#fleet = new Fleet({
      containment,
      sandbox: config.sandbox,
      spares: options.spares ?? config.spares,
      hullExited: (hull, exit) => this.#hullExited(hull, exit),
      warmUpFailed: (err) => logger.warn({ err }, 'there are no spare cells: a module that is lost starts cold'),
    });
    this.#dispatcher = new Dispatcher({
      serverName: options.homeserver.serverName,
      registered: (callback) => this.#registered.get(callback)?.() ?? [],
      fanOutOf: (callback) => this.#config.fanOuts[callback] ?? this.#config.fanOut,
    });
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    this.#watch.unref();
  }

  #checkSandbox(): void {
    const { sandbox } = this.#config;
    const { missing } = sandboxOf(sandbox, false);
    if (missing.length === 0) return;
    const message = `hulls cannot be given ${missing.join(', ')}: the programs prlimit, unshare and setpriv do that on Linux, where permitted`;
    if (sandbox === 'required') throw new BulkheadError('HullUnavailable', `${message}; bulkhead.sandbox requires it`);
    this.#logger.info({ missing }, message);
  }

  async start(wanted: Wanted): Promise<void> {
    const { config } = wanted;
    this.#fleet.expect(cellsOf(config.modules).length);
    this.#fleet.anticipate(cellsOf(config.modules.filter((entry) => !livesAlone(entry))));
    const { storage } = this.#options;
    if (typeof storage === 'object') this.#storage = createStorage(storage);
    else {
      const folder = storage ?? config.storage;
      this.#bundles = new DiskCache(join(folder, 'bundles'));
      this.#storage = await openStorage(folder);
    }
    if (!(await this.#bundles?.isFilled())) prepareWorkshop();
    const started = await this.#startAll(wanted, () => false);
    await this.#bundles?.prune();
    this.#modules = started.modules;
    this.#adopt(started);
    // What they take is known from the first moment on.
    this.#look();
  }

  dispatch<K extends CallbackName>(callback: K, args: readonly unknown[]) {
    // What a call that is being drained has caused belongs to it.
    const isTaken = this.#closing === undefined || (this.#isDraining && chain.getStore() !== undefined);
    if (!isTaken) return Promise.reject(closed());
    try {
      return this.#dispatcher.dispatch(callback, args);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  has(callback: CallbackName): boolean {
    return this.#registered.has(callback);
  }

  async fetch(request: Request): Promise<Response | undefined> {
    const route = findRoute(this.#routes, new URL(request.url));
    if (route === undefined) return undefined;
    return this.#closing === undefined ? answerRequest(route, request, this.#options.webLimits) : unavailable();
  }

  get #members(): readonly SupervisedModule[] {
    return this.#modules.flatMap(({ members }) => members);
  }

  status() {
    return this.#modules.map((module) => module.status());
  }

  async restart(id: string): Promise<void> {
    if (this.#closing !== undefined) throw closed();
    const module = this.#modules.find((candidate) => candidate.id === id);
    if (module === undefined) throw new BulkheadError('UnknownModule', `there is no module "${id}"`);
    await module.renew();
    this.#index();
  }

  async forget(id: string): Promise<void> {
    if (this.#modules.some((module) => module.id === id)) {
      throw new BulkheadError('StillConfigured', `the module "${id}" is configured; take it out first`);
    }
    await this.#storage?.forget(id);
  }

  /** One reload after another; each sees what the one before it made. */
  reload(config?: string | object): Promise<void> {
    const reloading = this.#reloading.then(() => this.#reload(config));
    this.#reloading = reloading.catch(() => {});
    return reloading;
  }

  on<E extends keyof ModuleEvents>(event: E, listener: (data: ModuleEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners);
    listeners.add(listener as (data: never) => void);
    return () => listeners.delete(listener as (data: never) => void);
  }

  close({ drainMs = DRAIN_MS }: { readonly drainMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async #close(drainMs: number): Promise<void> {
    clearInterval(this.#watch);
    this.#isDraining = drainMs > 0;
    let timer: NodeJS.Timeout | undefined;
    const overdue = new Promise((done) => {
      timer = setTimeout(done, drainMs);
    });
    const modules = [...this.#members, ...this.#retiring];
    const drained = Promise.all([this.#dispatcher.settled(), ...modules.map((module) => module.idle())]);
    await Promise.race([drained, overdue]);
    clearTimeout(timer);
    this.#isDraining = false;
    for (const module of modules) module.stop();
    await this.#fleet.close();
    await this.#storage?.close();
  }

  async #reload(config?: string | object): Promise<void> {
    if (this.#closing !== undefined) throw closed();
    const wanted = read(config === undefined ? this.#options : sourceOf(config), this.#options.lockFile);
    const { config: next } = wanted;
    const kept = new Map<string, Instances>();
    const started = await this.#startAll(wanted, ({ entry, bundle, exportName }) => {
      const module = this.#modules.find(({ id }) => id === entry.id);
      if (module?.code !== `${bundle.hash}#${exportName}` || !sameEntry(module.entry, entry)) return false;
      kept.set(entry.id, module);
      return true;
    });
    if (
      next.storage !== this.#config.storage ||
      next.containment !== this.#config.containment ||
      next.sandbox !== this.#config.sandbox
    )
      this.#logger.warn({}, 'a change of bulkhead.storage, containment or sandbox takes effect with the next start');
    const fresh = new Map(started.modules.map((module) => [module.id, module]));
    const before = this.#modules;
    this.#modules = next.modules.flatMap(({ id }) => fresh.get(id) ?? kept.get(id) ?? []);
    this.#config = next;
    this.#restarts = restartLimit(next);
    this.#adopt(started);
    const settled = this.#dispatcher.settled();
    const gone = before.filter((module) => !this.#modules.includes(module));
    for (const module of gone.flatMap(({ members }) => members)) void this.#retire(module, settled);
  }

  async #retire(module: SupervisedModule, settled: Promise<unknown>): Promise<void> {
    this.#retiring.add(module);
    await module.retire(settled);
    this.#retiring.delete(module);
  }

  async #startAll(wanted: Wanted, isKept: (candidate: Candidate) => boolean): Promise<Started> {
    const { config, lock } = wanted;
    // Nobody knows then what may run, be it only to find more problems.
    if (lock.state === 'damaged') throw new ConfigurationError([...wanted.problems, ...lock.problems]);
    const known = lock.state === 'read' ? lock.lock : undefined;
    this.#fleet.expect(cellsOf(config.modules).length);
    const started = await startModules(config.modules, this.#services(), isKept, known);
    const problems = [...wanted.problems, ...started.problems];
    if (problems.length === 0 && this.#closing === undefined) return started;
    discard(started);
    // The stores are the ones of the modules that run: what the discarded entries said of them is void.
    for (const { entry } of this.#modules) this.#storeOf(entry);
    throw this.#closing === undefined ? new ConfigurationError(inOrder(problems)) : closed();
  }

  #adopt({ members }: Started): void {
    for (const { module, life, cause } of members) {
      if (life === undefined) module.park(cause);
      else module.adopt(life);
    }
    this.#index();
    this.#fleet.needs = this.#members.filter((module) => !module.hasOwnHull).map(({ cellOptions }) => cellOptions);
  }

  /** Which module registered what; made anew whenever that may have changed, so that a call only looks it up. */
  #index(): void {
    this.#registered = new Map();
    for (const name of callbackNames) {
      const modules = this.#modules.filter(({ registered }) => registered.callbacks.includes(name));
      if (modules.length === 0) continue;
      const members = modules.flatMap((module) => module.members);
      const isSpread = members.length > modules.length;
      this.#registered.set(name, isSpread ? () => modules.map((module) => module.next()) : () => members);
    }
    this.#routes = createRoutes(this.#modules, (module, message) => {
      const line = `${module}: ${message}`;
      if (!this.#warned.has(line)) this.#logger.warn({ module }, message);
      this.#warned.add(line);
    });
  }

  #storeOf({ id, limits }: ModuleEntry): ModuleStore {
    return (this.#storage as Storage).of(id, { quotaBytes: limits.storage });
  }

  #services(): StartServices {
    return {
      fleet: this.#fleet,
      logger: this.#logger,
      homeserver: this.#options.homeserver,
      mayRestart: () => this.#restarts.take(),
      reservedPaths: this.#options.reservedPaths ?? [],
      isHeard: (event) => (this.#listeners.get(event)?.size ?? 0) > 0,
      emit: (event, data) => this.#emit(event, data),
      registrationChanged: () => this.#index(),
      bundle: (request) => this.#bundles?.bundle(request, bundleApart) ?? bundleInMemory(request),
      storeOf: (entry) => this.#storeOf(entry),
    };
  }

  #emit<E extends keyof ModuleEvents>(event: E, data: ModuleEvents[E]): void {
    const listeners = this.#listeners.get(event);
    if (listeners === undefined) return;
    for (const listener of listeners) {
      try {
        (listener as (data: ModuleEvents[E]) => void)(data);
      } catch (error) {
        this.#logger.error({ err: error }, `a listener for "${event}" threw`);
      }
    }
  }

  #hullExited(hull: Hull, exit: HullExit): void {
    // Those who are on their way out as well: what they do still comes from them.
    const inhabitants = [...this.#members, ...this.#retiring].filter(
      (module) => module.inhabits(hull) || [...exit.busy].some((cell) => module.livedIn(cell)),
    );
    if (inhabitants.length === 0 || this.#closing !== undefined) return;
    const { roles, suspects, known } = this.#blamer.judge(hull, exit, inhabitants);
    const names = [...new Set(suspects.map(({ id }) => id))];
    const who = names.length === 0 ? 'nobody is suspected' : `${known ? 'culprit' : 'suspects'}: ${names.join(', ')}`;
    this.#logger.error(
      { pid: hull.pid, cause: exit.cause, modules: names, known },
      `a hull ended by ${exit.cause}; ${who}`,
    );
    for (const [module, role] of roles) module.hullEnded(hull, role, exit.cause);
    this.#emit('hull', { pid: hull.pid ?? 0, cause: exit.cause, modules: names, known });
    // Once the culprit has shown itself in a hull of its own, whoever was suspected with it goes back.
    if (known && [...roles.values()].includes('culprit')) {
      for (const module of this.#members) if (roles.get(module) !== 'culprit') module.quarantinedUntil = 0;
    }
  }

  /** Now and then: blocked cells, a hull that runs out of pairs, suspects whose quarantine is over. */
  #look(): void {
    for (const module of this.#members) module.watch();
    if (this.#moving) return;
    if (this.#fleet.runsLow) {
      this.#fleet.changeHull();
      void this.#move(this.#members.filter((module) => !module.hasOwnHull && module.life !== undefined));
      return;
    }
    const released = this.#members.filter((module) => module.isMisplaced);
    if (released.length > 0) void this.#move(released);
  }

  async #move(modules: readonly SupervisedModule[]): Promise<void> {
    this.#moving = true;
    for (const module of modules) {
      await module.move().catch((error: unknown) => {
        this.#logger.error({ module: module.id, err: error }, `${module.id} could not be moved to another hull`);
      });
    }
    this.#moving = false;
  }
}

const restartLimit = ({ restartsPerMinute }: RuntimeConfig): RateLimit =>
  createRateLimit({ perSecond: restartsPerMinute / 60, burst: restartsPerMinute });

const closed = (): BulkheadError => new BulkheadError('Closed', 'the module runtime was closed');

/** What the modules shall be, as the files say. */
interface Wanted {
  readonly config: RuntimeConfig;
  readonly problems: readonly Problem[];
  readonly lock: LockRead;
}

function read(options: Pick<RuntimeOptions, 'config' | 'configFile'>, lockFile: RuntimeOptions['lockFile']): Wanted {
  const source = configSource(options);
  const file = lockFile ?? ('file' in source && lockFileBeside(source.file));
  return { ...readConfig(source), lock: file === false ? { state: 'none' } : readLock(file) };
}

function configSource({ config, configFile }: Pick<RuntimeOptions, 'config' | 'configFile'>): ConfigSource {
  if (config === undefined) return { file: configFile ?? 'homeserver.yaml' };
  if ('text' in config && typeof config.text === 'string') return config as { text: string; file: string };
  return { value: config };
}

const sourceOf = (config: string | object): Pick<RuntimeOptions, 'config' | 'configFile'> =>
  typeof config === 'string' ? { configFile: config } : { config };

const cellsOf = (entries: readonly ModuleEntry[]): readonly CellOptions[] =>
  entries.flatMap((entry) => Array.from({ length: entry.instances }, () => cellOptionsOf(entry)));

/** Wherever in the file they stand. */
function sameEntry(a: ModuleEntry, b: ModuleEntry): boolean {
  const said = (entry: ModuleEntry): string => JSON.stringify({ ...entry, locate: undefined, path: undefined });
  return said(a) === said(b);
}

/** One typed method per row of the table, made from the table. */
function facade(runtime: Runtime): Modules {
  const methods: Partial<Record<Category, Record<string, unknown>>> = {};
  for (const name of callbackNames) {
    const { category } = callbacks[name];
    methods[category] = { ...methods[category], [name]: (...args: unknown[]) => runtime.dispatch(name, args) };
  }
  return Object.freeze({
    ...(methods as unknown as CallbackMethods),
    has: (callback) => runtime.has(callback),
    fetch: (request) => runtime.fetch(request),
    status: () => runtime.status(),
    restart: (id) => runtime.restart(id),
    reload: (config) => runtime.reload(config),
    forget: (id) => runtime.forget(id),
    close: (options) => runtime.close(options),
    on: (event, listener) => runtime.on(event, listener),
  } satisfies Modules);
}
