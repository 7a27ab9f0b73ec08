// What the modules decide and what becomes of them, for those who watch. The feed must not become a burden itself: calls are
// summed up, everything else is cut off at a number, who reads too slowly misses some, and while nobody watches, nothing is
// listened to.

import type { ModuleEvents, Modules } from '@bulkhead/runtime';
import { Incidents } from './incidents.js';
import type { Asked, Incident, ModuleLine, Report, Ruling } from './report.js';
import type { RulingListener } from './rulings.js';

const REPORT_MS = 100;
const MODULES_MS = 1_000;
/** Of rulings, and of what the watchdog did, in one report. */
const MOST_OF_A_KIND = 20;
/** That wait for a watcher: two seconds. */
const MOST_REPORTS = 20;
const MOST_WATCHERS = 50;

export class Feed implements RulingListener {
  readonly #modules: Modules;
  readonly #watchers = new Set<Watcher>();
  #stop: (() => void) | undefined;
  #incidents: Incidents;
  #modulesDue = 0;
  // What the next report says.
  #asked = new Map<string, Asked>();
  #rulings: Ruling[] = [];
  #watches: ModuleEvents['watch'][] = [];
  /** By id: of an incident that changes, the last is told. */
  #told = new Map<number, Incident>();
  #omitted = 0;

  constructor(modules: Modules) {
    this.#modules = modules;
    this.#incidents = this.#newIncidents();
  }

  get isWatched(): boolean {
    return this.#watchers.size > 0;
  }

  /** @returns `undefined` when so many watch that nobody else may */
  watch(): Watcher | undefined {
    if (this.#watchers.size >= MOST_WATCHERS) return undefined;
    const watcher = new Watcher(() => this.#leave(watcher));
    this.#watchers.add(watcher);
    this.#stop ??= this.#listen();
    // Who comes in is told at once how the modules are.
    this.#modulesDue = 0;
    return watcher;
  }

  ruled(ruling: Ruling): void {
    this.#note(this.#rulings, ruling);
  }

  /** Sends everybody home. */
  close(): void {
    for (const watcher of this.#watchers) watcher.close();
  }

  #leave(watcher: Watcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
    this.#take();
    this.#incidents = this.#newIncidents();
  }

  #listen(): () => void {
    const reporting = setInterval(() => this.#report(), REPORT_MS);
    const off = [
      this.#modules.on('call', (event) => this.#call(event)),
      this.#modules.on('watch', (event) => this.#note(this.#watches, event)),
      this.#modules.on('hull', (event) => this.#incidents.hull(event)),
      this.#modules.on('cell', (event) => {
        this.#incidents.cell(event);
        this.#modulesDue = 0;
      }),
    ];
    return () => {
      clearInterval(reporting);
      for (const leave of off) leave();
    };
  }

  /** As many sums as there are modules, callbacks and results, however many calls. */
  #call({ module, callback, result, durationMs }: ModuleEvents['call']): void {
    const key = JSON.stringify([callback, module, result]);
    const { count = 0, slowestMs = 0 } = this.#asked.get(key) ?? {};
    const slowest = Math.max(slowestMs, durationMs);
    this.#asked.set(key, { module, callback, result, count: count + 1, slowestMs: slowest });
  }

  #note<T>(list: T[], item: T): void {
    if (list.length < MOST_OF_A_KIND) list.push(item);
    else this.#omitted++;
  }

  #newIncidents(): Incidents {
    return new Incidents(
      (incident) => this.#told.set(incident.id, incident),
      () => this.#modules.status().length,
    );
  }

  #report(): void {
    const now = performance.now();
    const isDue = now >= this.#modulesDue;
    if (isDue) this.#modulesDue = now + MODULES_MS;
    const news = this.#take();
    const isNews = [news.asked, news.rulings, news.watches, news.incidents].some((list) => list.length > 0);
    if (!isDue && !isNews) return;
    const report = { at: Date.now(), ...news, ...(isDue && { modules: this.#modules.status().map(lineOf) }) };
    for (const watcher of this.#watchers) watcher.give(report);
  }

  #take(): Omit<Report, 'at' | 'modules'> {
    const taken = {
      asked: [...this.#asked.values()],
      rulings: this.#rulings,
      watches: this.#watches,
      incidents: [...this.#told.values()],
      omitted: this.#omitted,
    };
    this.#asked = new Map();
    this.#rulings = [];
    this.#watches = [];
    this.#told = new Map();
    this.#omitted = 0;
    return taken;
  }
}

/** One who watches, at his own speed. */
export class Watcher {
  readonly #leave: () => void;
  readonly #reports: Report[] = [];
  #missed = 0;
  #closed = false;
  #wake: (() => void) | undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  give(report: Report): void {
    this.#reports.push(report);
    if (this.#reports.length > MOST_REPORTS) {
      this.#reports.shift();
      this.#missed++;
    }
    this.#wake?.();
  }

  /** @returns `undefined` when it is over */
  async next(): Promise<Report | undefined> {
    if (this.#reports.length === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const report = this.#closed ? undefined : this.#reports.shift();
    if (report === undefined || this.#missed === 0) return report;
    const omitted = report.omitted + this.#missed;
    this.#missed = 0;
    return { ...report, omitted };
  }

  close(): void {
    this.#closed = true;
    this.#leave();
    this.#wake?.();
  }
}

type Status = ReturnType<Modules['status']>[number];

function lineOf({ id, state, cause, calls, failures, restarts, memory, cpu, hullPid }: Status): ModuleLine {
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  return { id, state, cause, calls, failures: failed, restarts, memory, cpu, hullPid };
}
