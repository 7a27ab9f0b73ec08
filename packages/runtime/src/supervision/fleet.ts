// The hulls of a runtime and the spare cells in them. It hands out warm cells, and sees to it that there are others: a hull
// that ends is replaced by one that waits, with as many warm cells as there are modules to put back.

import { createCommonBudget } from '../dispatch/budget.js';
import { BulkheadError } from '../dispatch/errors.js';
import { type Cell, type CellOptions, type Hull, type HullExit, spawnHull, ThreadHull } from './hull.js';
import type { Sandbox } from './sandbox.js';

/** Whether this system has what a hull needs: socket pairs that a child inherits, and signals. */
const hullsWork = process.platform === 'linux' || process.platform === 'darwin';

/** Of an admin and an embedder who say nothing. */
export const usualContainment = hullsWork ? 'process' : 'thread';

export interface FleetOptions {
  readonly containment: 'process' | 'thread';
  /** What the operating system shall add around hulls. */
  readonly sandbox: Sandbox;
  /** Whether there shall be warm cells, and a hull that waits, for whoever is lost. */
  readonly spares: boolean;
  readonly hullExited: (hull: Hull, exit: HullExit) => void;
  /** Nothing could be kept warm: what comes next starts cold, or not at all. */
  readonly warmUpFailed: (error: unknown) => void;
}

/** Socket pairs of the hull that most modules share; a pair is used up by each life. At least so many, and some for each module. */
const LEAST_SHARED_SLOTS = 32;
const SLOTS_PER_MODULE = 4;
const MOST_SLOTS = 1000;
/** Of a hull for one module. */
const OWN_SLOTS = 8;
/** More warm cells than this are not kept in the hull that waits, whatever the number of modules. */
const MOST_SPARES = 50;
/** When no module has been started for so long: warming cells takes a core for a fifth of a second each. */
const WARM_UP_AFTER_MS = 250;

export class Fleet {
  readonly #options: FleetOptions;
  /** The hull that modules share, and the one that will be when it ends. */
  #shared: Hull | undefined;
  #waiting: Hull | undefined;
  /** A small one with a warm cell, for the next who has to live alone. */
  #refuge: Hull | undefined;
  /** Warm cells, and those being warmed, by hull. */
  readonly #spares = new Map<Hull, Cell[]>();
  readonly #hulls = new Set<Hull>();
  /** Cells that were given to somebody. */
  readonly #taken = new WeakSet<Cell>();
  /** Whose end is nobody's doing. */
  readonly #released = new WeakSet<Hull>();
  readonly #budget = createCommonBudget();
  #sharedSlots = LEAST_SHARED_SLOTS;
  #needs: CellOptions[] = [];
  /** What will be taken soon and is not there yet. */
  #anticipated: CellOptions[] = [];
  #warmUp: NodeJS.Timeout | undefined;
  #isWarming = false;
  #closed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** So many modules will want cells. */
  expect(modules: number): void {
    this.#sharedSlots = Math.min(MOST_SLOTS, Math.max(LEAST_SHARED_SLOTS, modules * SLOTS_PER_MODULE));
  }

  /** Starts cells of the shared hull in advance, one after another, while their modules are still being made ready. */
  anticipate(needs: readonly CellOptions[]): void {
    this.#anticipated = [...needs];
    void this.#startAnticipated().catch(() => {
      // Whoever takes one finds out, and says so.
      this.#anticipated = [];
    });
  }

  /** What the modules that share a hull need; spares are kept accordingly. */
  set needs(needs: readonly CellOptions[]) {
    this.#needs = [...needs];
    // A spare of a kind that nobody has any more would wait for ever.
    for (const [hull, spares] of this.#spares) {
      this.#spares.set(
        hull,
        spares.filter((cell) => this.#isNeeded(cell)),
      );
      for (const cell of spares) if (!this.#isNeeded(cell)) cell.kill();
    }
    this.#scheduleWarmUp();
  }

  /** A cell in the shared hull, or in one of its own. Warm if there is a spare of that kind. @throws BulkheadError */
  take(options: CellOptions, own: boolean): Cell {
    if (this.#closed) throw new BulkheadError('Closed', 'the module runtime was closed');
    this.#scheduleWarmUp();
    if (!own || this.#options.containment === 'thread') {
      // Restarts in quick succession may use up the pairs before anybody looks.
      if (this.#sharedHull().room === 0) this.changeHull();
      return this.#open(this.#sharedHull(), options);
    }
    // One that is trusted keeps the network.
    if (options.isolation === 'thread') return this.#open(this.#spawn(OWN_SLOTS, true), options);
    const hull = this.#refuge ?? this.#spawn(OWN_SLOTS);
    this.#refuge = undefined;
    return this.#open(hull, options);
  }

  /** Whether the shared hull will soon have no pair left for another life; the next one takes over then. */
  get runsLow(): boolean {
    return this.#shared !== undefined && this.#shared.room < this.#needs.length + 8;
  }

  /** Whether it is the one that modules share now. */
  isShared(hull: Hull): boolean {
    return hull === this.#shared;
  }

  /** Makes the waiting hull the shared one. Whoever still lives in the old one is to be moved by the caller. */
  changeHull(): void {
    this.#shared = undefined;
    this.#sharedHull();
    this.#scheduleWarmUp();
  }

  /** A hull in which nobody lives any more, and which is neither shared nor waiting, is let go with its spares. */
  release(hull: Hull): void {
    if (this.#isKept(hull)) return;
    const spares = this.#spares.get(hull) ?? [];
    if (![...hull.cells].every((cell) => spares.includes(cell))) return;
    this.#released.add(hull);
    void hull.close();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#warmUp);
    await Promise.all([...this.#hulls].map((hull) => hull.close()));
  }

  #open(hull: Hull, options: CellOptions): Cell {
    const spares = this.#spares.get(hull) ?? [];
    const index = spares.findIndex((cell) => sameKind(cell, options) && !cell.channel.closed);
    if (index >= 0) return this.#given(spares.splice(index, 1)[0] as Cell);
    const early = this.#anticipated.findIndex((need) => sameKind(need, options));
    if (early >= 0) this.#anticipated.splice(early, 1);
    return this.#given(hull.open(options));
  }

  #given(cell: Cell): Cell {
    this.#taken.add(cell);
    return cell;
  }

  async #startAnticipated(): Promise<void> {
    for (let need = this.#anticipated.shift(); need !== undefined; need = this.#anticipated.shift()) {
      if (this.#closed) return;
      const cell = this.#addSpare(this.#sharedHull(), need);
      await Promise.race([cell.channel.ready, cell.channel.ended]);
    }
  }

  #isNeeded(kind: CellOptions): boolean {
    return this.#needs.some((need) => sameKind(kind, need));
  }

  #isKept(hull: Hull): boolean {
    return hull === this.#shared || hull === this.#waiting || hull === this.#refuge;
  }

  #sharedHull(): Hull {
    if (this.#shared === undefined) {
      this.#shared = this.#waiting ?? this.#spawn(this.#sharedSlots);
      this.#waiting = undefined;
    }
    return this.#shared;
  }

  #spawn(slots: number, network = false): Hull {
    const { containment, sandbox } = this.#options;
    const hull =
      containment === 'process' ? spawnHull({ slots, sandbox, network }, this.#budget) : new ThreadHull(this.#budget);
    this.#hulls.add(hull);
    void hull.exited.then((exit) => {
      // A spare is busy while it is warmed up, or ended, and never to blame.
      const busy = new Set([...exit.busy].filter((cell) => this.#taken.has(cell)));
      this.#hulls.delete(hull);
      this.#spares.delete(hull);
      if (hull === this.#waiting) this.#waiting = undefined;
      if (hull === this.#shared) this.#shared = undefined;
      if (hull === this.#refuge) this.#refuge = undefined;
      if (this.#closed) return;
      if (!this.#released.has(hull)) this.#options.hullExited(hull, { ...exit, busy });
      this.#scheduleWarmUp();
    });
    return hull;
  }

  #scheduleWarmUp(): void {
    if (this.#closed || this.#needs.length === 0 || !this.#options.spares) return;
    clearTimeout(this.#warmUp);
    this.#warmUp = setTimeout(() => void this.#warmAll(), WARM_UP_AFTER_MS).unref();
  }

  async #warmAll(): Promise<void> {
    if (this.#isWarming) {
      this.#scheduleWarmUp();
      return;
    }
    this.#isWarming = true;
    try {
      await this.#warm();
    } catch (error) {
      this.#options.warmUpFailed(error);
    }
    this.#isWarming = false;
  }

  /** One cell after another: nobody waits for these, so they shall not crowd out those who work. */
  async #warm(): Promise<void> {
    const shared = this.#sharedHull();
    for (const need of distinct(this.#needs)) await this.#addSpares(shared, need, 1);
    if (this.#options.containment === 'thread' || this.#closed) return;
    this.#waiting ??= this.#spawn(this.#sharedSlots);
    const waiting = this.#waiting;
    for (const need of distinct(this.#needs)) {
      const number = this.#needs.filter((other) => sameKind(need, other)).length;
      await this.#addSpares(waiting, need, waiting === this.#shared ? 1 : Math.min(number, MOST_SPARES));
    }
    if (this.#closed || this.#needs.length === 0) return;
    this.#refuge ??= this.#spawn(OWN_SLOTS);
    await this.#addSpares(this.#refuge, mostCommon(this.#needs), 1);
  }

  async #addSpares(hull: Hull, need: CellOptions, number: number): Promise<void> {
    const sparesOf = (): Cell[] => this.#spares.get(hull) ?? [];
    while (sparesOf().filter((cell) => sameKind(cell, need)).length < number) {
      if (this.#closed || hull.room === 0 || !this.#isKept(hull) || !this.#isNeeded(need)) return;
      const cell = this.#addSpare(hull, need);
      await Promise.race([cell.channel.ready, cell.channel.ended]);
    }
  }

  #addSpare(hull: Hull, need: CellOptions): Cell {
    const sparesOf = (): Cell[] => this.#spares.get(hull) ?? [];
    const cell = hull.open(need);
    this.#spares.set(hull, [...sparesOf(), cell]);
    void cell.channel.ended.then(() => {
      if (sparesOf().includes(cell))
        this.#spares.set(
          hull,
          sparesOf().filter((other) => other !== cell),
        );
    });
    return cell;
  }
}

const sameKind = (a: CellOptions, b: CellOptions): boolean => a.memory === b.memory && a.isolation === b.isolation;

const distinct = (needs: readonly CellOptions[]): readonly CellOptions[] =>
  needs.filter((need, index) => needs.findIndex((other) => sameKind(need, other)) === index);

function mostCommon(needs: readonly CellOptions[]): CellOptions {
  const count = (need: CellOptions): number => needs.filter((other) => sameKind(need, other)).length;
  return needs.reduce((best, need) => (count(need) > count(best) ? need : best));
}
