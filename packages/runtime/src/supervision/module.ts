// One configured module over all its lives: it takes calls, gives them to the life of the moment, ends a life that does not
// answer, begins another, and stops asking a module that fails again and again.

import { type CallbackName, callbacks, type FailureKind, type FailurePolicy, type Row } from '@bulkhead/sdk/contract';
import { grantedBy } from '../api/permissions.js';
import type { CellMarks } from '../cell/task.js';
import type { ModuleEntry, Permissions } from '../config/entry.js';
import type { Call } from '../dispatch/call.js';
import type { Channel } from '../dispatch/channel.js';
import { Deadlines } from '../dispatch/deadline.js';
import type { Askable } from '../dispatch/dispatcher.js';
import { mapStack } from '../loading/stack.js';
import type { ModuleEvents, ModuleState, ModuleStatus, WatchedLimit } from '../modules.js';
import type { Logger } from '../observe/log.js';
import type { Body } from '../wire/frame.js';
import { Breaker } from './breaker.js';
import type { Fleet } from './fleet.js';
import type { Cell, CellOptions, Hull } from './hull.js';
import {
  isLostWithHull,
  Life,
  type LifeParts,
  nothingRegistered,
  type Registered,
  resultLimitOf,
  withTimeout,
} from './life.js';
import { Line } from './line.js';
import { Poison } from './poison.js';
import { sleep, Vigil } from './vigil.js';

export interface ModuleServices {
  readonly fleet: Fleet;
  readonly logger: Logger;
  /** The module's present life may have registered something else than the one before. */
  readonly registrationChanged: () => void;
  /** Whether one more module may begin anew now because of what it did. */
  readonly mayRestart: () => boolean;
  /** Whether anybody listens: an event for nobody need not be made. */
  readonly isHeard: (event: keyof ModuleEvents) => boolean;
  readonly emit: <E extends keyof ModuleEvents>(event: E, data: ModuleEvents[E]) => void;
}

/** What a module had to do with the end of the hull that it lived in. */
export type HullRole = 'innocent' | 'suspect' | 'culprit';

/** A life that was shorter than this makes the next one wait. */
const SHORT_LIFE_MS = 1_000;
const LONGEST_DELAY_MS = 5_000;
/** When too many modules begin anew, the next one tries again so much later. */
const THROTTLED_MS = 1_000;
const MEBIBYTE = 1 << 20;
/** A module that is throttled again and again is told of once in so long. */
const TELL_MS = 10_000;
/** How long a suspect lives in a hull of its own before it is trusted with the others again. */
const QUARANTINE_MS = 60_000;

/** Without callbacks there is no timeout to go by. */
const USUAL_TIMEOUT_MS = 5_000;
/** No timeout is so short that a module may not keep its thread for this long. */
const LEAST_BLOCKED_MS = 100;
/** How often a life that was replaced is looked at, to end it when it is idle. */
const LOOK_MS = 20;
/** For each call that may be in flight so many may wait, and so many bytes of arguments; what comes then fails at once. */
const WAITING_FACTOR = 10;
const WAITING_BYTES = 32 << 20;
/** A cell that does not read gets nothing more: these are bytes in the host's memory. */
const MOST_BACKLOG = 1 << 20;
/** For how long a life that was replaced may go on answering web requests. */
const LET_GO_MS = 5_000;

const PARKED = 'the module failed too often and is not asked at present';
/** Failures of a call that are none of the module; that its cell was lost is counted once, whatever it was being asked. */
const NOT_COUNTED: ReadonlySet<FailureKind> = new Set(['api_timeout', 'queue_timeout', 'parked', 'stopped', 'crashed']);

/** The cell that a module of that entry lives in. */
export const cellOptionsOf = ({ limits: { memory }, isolation }: ModuleEntry): CellOptions => ({ memory, isolation });

/** Whether it never shares a hull. */
export const livesAlone = ({ hull, isolation }: ModuleEntry): boolean => hull === 'own' || isolation === 'thread';

export class SupervisedModule implements Askable {
  readonly entry: ModuleEntry;
  /** A hull of its own until then, on the clock of `performance.now()`. */
  quarantinedUntil = 0;
  readonly #parts: LifeParts;
  readonly #services: ModuleServices;
  readonly #breaker: Breaker;
  readonly #deadlines = new Deadlines((call) => this.#expired(call));
  readonly #waiting: Line;
  readonly #poison = new Poison();
  /** All that it ever had. */
  readonly #cells = new WeakSet<Cell>();
  /** Lives that were ended, or that answer their last calls, until their cells are gone. */
  readonly #leaving = new Set<Life>();
  readonly #watches: Partial<Record<WatchedLimit, number>> = {};
  readonly #failures: Partial<Record<FailureKind, number>> = {};
  #life: Life | undefined;
  #state: ModuleState = 'starting';
  #cause = '';
  /** What the first life registered. A later one that registers something else is a module that changed under our hands. */
  #registered: Registered = nothingRegistered;
  #asked: Permissions = {};
  #startMs = 0;
  #memory: number | undefined;
  #calls = 0;
  #restarts = 0;
  #delay = 0;
  /** When the present life, or the attempt at one, was begun. */
  #begunAt = 0;
  #wasSetUp = false;
  #revival: NodeJS.Timeout | undefined;
  /** Web requests that wait for the next life, and what wakes them. */
  #awaiting = 0;
  #change = nextChange();
  readonly #vigil = new Vigil({
    longestMs: () => this.#longestTimeout(),
    blocked: (life, cause, counted) => this.#kill(life, cause, counted),
    measured: ({ heap, external }) => {
      this.#memory = heap + external;
    },
  });

  constructor(parts: Omit<LifeParts, 'violated' | 'throttled' | 'drained'>, services: ModuleServices) {
    this.entry = parts.entry;
    this.#parts = {
      ...parts,
      violated: (life, message) => this.#violated(life, message),
      throttled: (life) => this.#throttled(life),
      drained: () => this.#sendWaiting(),
    };
    this.#waiting = new Line({ calls: WAITING_FACTOR * parts.entry.limits.callsInFlight, bytes: WAITING_BYTES });
    this.#services = services;
    this.#breaker = new Breaker(parts.entry.breaker);
  }

  get id(): string {
    return this.entry.id;
  }

  get mode(): 'enforce' | 'observe' {
    return this.entry.mode;
  }

  get state(): ModuleState {
    return this.#breaker.state.state === 'closed' || this.#state === 'stopped' ? this.#state : 'parked';
  }

  /** What its lives run: the hash of the script, and the export. */
  get code(): string {
    return `${this.#parts.bundle.hash}#${this.#parts.exportName}`;
  }

  get registered(): Registered {
    return this.#registered;
  }

  get stateTypes(): readonly string[] {
    return this.#registered.stateTypes;
  }

  get life(): Life | undefined {
    return this.#life;
  }

  get cellOptions(): CellOptions {
    return cellOptionsOf(this.entry);
  }

  get hasOwnHull(): boolean {
    return livesAlone(this.entry) || this.quarantinedUntil > performance.now();
  }

  /** Whether a life of it is in that cell, or was until the cell ended. */
  livedIn(cell: Cell): boolean {
    return this.#cells.has(cell);
  }

  inhabits(hull: Hull): boolean {
    return [...this.#lives()].some((life) => life.cell.hull === hull);
  }

  /** Whether it was asked anything in that hull that it has not answered. */
  isAskedIn(hull: Hull): boolean {
    return [...this.#lives()].some(
      ({ cell, channel, requests }) => cell.hull === hull && (channel.inFlight > 0 || requests.size > 0),
    );
  }

  quarantine(): void {
    this.quarantinedUntil = performance.now() + QUARANTINE_MS;
  }

  timeoutOf(callback: CallbackName): number {
    return this.entry.timeouts[callback] ?? this.entry.timeout ?? callbacks[callback].timeout;
  }

  policyOf(callback: CallbackName): FailurePolicy | 'skip' {
    const row: Row = callbacks[callback];
    if (row.onFailure === 'skip') return 'skip';
    return this.entry.onFailures[callback] ?? this.entry.onFailure ?? row.onFailure;
  }

  resultLimitOf(callback: CallbackName): number {
    return resultLimitOf(this.entry, callback);
  }

  /**
   * The life that answers; while the module begins anew, the next one, if that comes within so many milliseconds. A web
   * request that arrives meanwhile need not fail for it.
   */
  async present(ms: number): Promise<Life | undefined> {
    const until = performance.now() + ms;
    const isThere = (): boolean => this.#life !== undefined && !this.#life.channel.closed;
    const comesBack = (): boolean => this.state !== 'parked' && this.state !== 'stopped';
    if (this.#awaiting >= this.entry.limits.callsInFlight) return undefined;
    this.#awaiting++;
    while (!isThere() && comesBack() && performance.now() < until) {
      await withTimeout(this.#change.happened, until - performance.now());
    }
    this.#awaiting--;
    return isThere() ? this.#life : undefined;
  }

  /** A life for this module that is not its present one yet. */
  newLife(): Life {
    const cell = this.#services.fleet.take(this.cellOptions, this.hasOwnHull);
    this.#cells.add(cell);
    return new Life(cell, this.#parts);
  }

  /** Makes a life that is set up the one that answers from now on. The one before answers what it was asked. */
  adopt(life: Life): void {
    const previous = this.#life;
    this.#life = life;
    // Parked for want of a set-up: that is made good.
    if (!this.#wasSetUp) this.#breaker.reset();
    this.#wasSetUp = true;
    this.#registered = life.registered;
    this.#asked = life.asked;
    this.#startMs = life.startMs;
    this.#begunAt = performance.now();
    this.#watchEnd(life);
    if (previous !== undefined) void this.#letGo(previous);
    this.#setState('running', 'set up');
    this.#sendWaiting();
  }

  /** Ends a life that was never adopted. */
  abandon(life: Life): void {
    this.#end(life);
  }

  /** Parks a module that could not be set up, where the configuration says that it is not required. */
  park(cause: string): void {
    this.#breaker.park();
    this.#parked(cause);
  }

  /** A web request took too long. */
  doubt(life: Life): void {
    void this.#vigil.doubt(life, 'a web request', false);
  }

  ask(call: Call): void {
    this.#calls++;
    if (this.#state === 'stopped') {
      call.fail('stopped', 'the module was stopped');
    } else if (!this.#breaker.admits()) {
      call.fail('parked', PARKED);
    } else if (this.#poison.refuses(call)) {
      this.#breaker.inconclusive();
      call.fail('parked', 'the same call ended the cell of the module twice');
    } else if (this.#waiting.isFull) {
      this.#breaker.inconclusive();
      call.fail('queue_timeout', `${this.#waiting.size} calls wait for the module already`);
    } else {
      this.#deadlines.watch(call);
      const channel = this.#life?.channel;
      if (call.body instanceof Promise) void this.#complete(call, call.body);
      else if (this.#waiting.size === 0 && channel !== undefined && this.#takesCalls(channel))
        channel.call(call, call.startedAt);
      else {
        this.#waiting.add(call);
        this.#sendWaiting();
      }
    }
  }

  cancel(call: Call): void {
    call.abandon();
    this.#waiting.delete(call);
    this.#breaker.inconclusive();
    for (const life of this.#lives()) life.channel.cancel(call, 'unneeded');
    this.#sendWaiting();
  }

  judged(
    callback: CallbackName,
    result: 'allow' | 'reject' | FailureKind,
    durationMs: number,
    message: string,
    stack = '',
  ): void {
    if (this.#services.isHeard('call')) {
      this.#services.emit('call', { module: this.id, callback, result, durationMs });
    }
    this.#sendWaiting();
    if (result === 'allow' || result === 'reject') {
      if (this.#breaker.succeeded()) this.#setState('running', `answered ${callback}`);
      return;
    }
    this.#failures[result] = (this.#failures[result] ?? 0) + 1;
    const fields = {
      module: this.id,
      callback,
      kind: result,
      durationMs: Math.round(durationMs),
      ...(stack === '' ? {} : { stack: mapStack(stack, this.#parts.bundle) }),
    };
    if (result === 'parked' || result === 'stopped') {
      this.#services.logger.debug(fields, message);
      return;
    }
    this.#services.logger.warn(fields, `${this.id} failed in ${callback}: ${message}`);
    if (NOT_COUNTED.has(result)) this.#breaker.inconclusive();
    else this.#failed(`in ${callback}: ${message}`);
  }

  warn(callback: CallbackName, message: string): void {
    this.#services.logger.warn({ module: this.id, callback }, `${this.id} in ${callback}: ${message}`);
  }

  /** A new life beside the present one, which it replaces when it is set up. @throws StartFailure */
  async renew(): Promise<void> {
    if (await this.orAlone(() => this.#replaceLife())) {
      this.#restarts++;
      this.#breaker.reset();
    }
  }

  /** A module whose cell is lost with its hull may be innocent: alone in a hull it shows. @throws what the step throws */
  async orAlone<T>(step: () => Promise<T>): Promise<T> {
    const wasAlone = this.hasOwnHull;
    try {
      return await step();
    } catch (error) {
      // The end of the hull may have made a suspect of it, so that it is to live alone from now on; it did not yet.
      if (!isLostWithHull(error) || wasAlone) throw error;
      this.quarantine();
      return step();
    }
  }

  /** Whether it lives alone although it need not any more. */
  get isMisplaced(): boolean {
    return this.#life !== undefined && !this.hasOwnHull && !this.#services.fleet.isShared(this.#life.cell.hull);
  }

  /** To the hull that it belongs in now, without losing a call. @throws StartFailure; then it stays for a while */
  async move(): Promise<void> {
    this.quarantinedUntil = 0;
    try {
      await this.#replaceLife();
    } catch (error) {
      this.quarantine();
      throw error;
    }
  }

  /** The hull is gone, and with it whatever lives were there. */
  hullEnded(hull: Hull, role: HullRole, cause: string): void {
    const lost = [...this.#lives()].filter(({ cell }) => cell.hull === hull);
    if (this.#state === 'stopped') {
      for (const life of lost) this.#leaving.delete(life);
      return;
    }
    if (role !== 'innocent') this.quarantine();
    if (role === 'culprit') this.#breaker.park();
    else if (role === 'suspect') this.#failed(`its hull ended: ${cause}`);
    for (const life of lost) {
      this.#leaving.delete(life);
      if (life !== this.#life) continue;
      this.#life = undefined;
      this.#restart(`its hull ended: ${cause}`, role === 'innocent');
    }
    const again = role === 'innocent' ? 'all' : 'innocent';
    for (const life of lost) {
      this.#takeBack(life, life.cell.marks(), 'the hull was aborted while the call was running', again);
    }
    if (role === 'culprit') this.#parked(`aborted its hull: ${cause}`);
  }

  /** Called once a second. */
  watch(): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#vigil.look(life);
    // It may just have been ended.
    if (life === this.#life) this.#watchCpu(life);
  }

  /** Resolves when nothing is under way: calls, and web requests with the bodies of their responses. */
  async idle(): Promise<void> {
    while (this.#waiting.size > 0 || [...this.#lives()].some(isBusy)) await sleep(LOOK_MS);
  }

  /** Another module takes its place, which is not asked before `settled`; those who were asking this one get their answers. */
  async retire(settled: Promise<unknown>): Promise<void> {
    // Somebody may have found it just now, and be about to ask it.
    await Promise.all([settled, sleep(LOOK_MS)]);
    await Promise.race([this.idle(), sleep(LET_GO_MS)]);
    this.stop();
    // Until its threads are gone it may yet be to blame for the end of a hull.
    await Promise.all([...this.#leaving].map(({ cell }) => cell.ended));
  }

  /** Ends everything now; what is not answered fails as `stopped`. */
  stop(): void {
    if (this.#state === 'stopped') return;
    this.#setState('stopped', 'stopped');
    clearTimeout(this.#revival);
    for (const life of this.#lives()) {
      for (const call of life.channel.takePending()) call.fail('stopped', 'the module was stopped');
      this.#end(life);
    }
    for (const call of this.#waiting) call.fail('stopped', 'the module was stopped');
    this.#waiting.clear();
    this.#life = undefined;
    this.#deadlines.close();
    void this.#parts.fetcher.close();
  }

  /** Calls that wait, and those that its present life has not answered. */
  get inFlight(): number {
    return this.#waiting.size + (this.#life?.channel.inFlight ?? 0);
  }

  status(): Omit<ModuleStatus, 'instances'> {
    return {
      id: this.id,
      specifier: this.entry.specifier,
      state: this.state,
      cause: this.#cause,
      mode: this.mode,
      callbacks: this.#registered.callbacks,
      resources: this.#registered.resources,
      permissions: { asked: this.#asked, granted: grantedBy(this.entry) },
      restarts: this.#restarts,
      calls: this.#calls,
      failures: { ...this.#failures },
      inFlight: this.inFlight,
      startMs: this.#startMs,
      memory: this.#memory,
      cpu: this.#life?.cell.cpu() ?? 0,
      apiCalls: this.#life?.apiLoad.underWay ?? 0,
      watches: { ...this.#watches },
      hullPid: this.#life?.cell.hull.pid,
    };
  }

  #watchCpu(life: Life): void {
    const { cpu: allowed } = this.entry.limits;
    const finding = life.effort.look(life.cell.cpu(), allowed);
    if (finding === 'over') {
      const used = life.effort.share;
      this.#watched('cpu', 'ended', used, allowed);
      this.#kill(life, `it used ${percent(used)} of a core, ${percent(allowed)} are allowed`);
    } else if (finding === 'busy' && life.cell.slow()) {
      this.#watched('cpu', 'slowed', life.effort.share, allowed);
    }
  }

  #throttled(life: Life): void {
    const now = performance.now();
    if (now - life.throttledAt < TELL_MS) return;
    life.throttledAt = now;
    const { hostTime } = this.entry.limits;
    this.#watched('host_time', 'throttled', hostTime, hostTime);
  }

  #watched(limit: WatchedLimit, action: ModuleEvents['watch']['action'], used: number, allowed: number): void {
    this.#watches[limit] = (this.#watches[limit] ?? 0) + 1;
    this.#services.emit('watch', { module: this.id, limit, action, used, allowed });
    this.#services.logger.warn({ module: this.id, limit, used, allowed }, `${this.id} is ${action}: limits.${limit}`);
  }

  *#lives(): Iterable<Life> {
    if (this.#life !== undefined) yield this.#life;
    yield* [...this.#leaving];
  }

  /** It has its place in the line while its body is made. */
  async #complete(call: Call, body: Promise<Body>): Promise<void> {
    this.#waiting.add(call);
    call.body = await body;
    this.#waiting.completed(call);
    this.#sendWaiting();
  }

  #takesCalls(channel: Channel): boolean {
    if (channel.closed || channel.inFlight >= this.entry.limits.callsInFlight) return false;
    return channel.backlog < MOST_BACKLOG;
  }

  #sendWaiting(): void {
    const channel = this.#life?.channel;
    if (this.#waiting.size === 0 || channel === undefined) return;
    for (const call of this.#waiting) {
      if (call.body instanceof Promise) continue;
      if (!this.#takesCalls(channel)) return;
      this.#waiting.delete(call);
      if (!call.isSettled) channel.call(call, performance.now());
    }
  }

  /** @returns whether the module was still wanted when the new life was set up */
  async #replaceLife(): Promise<boolean> {
    const life = this.newLife();
    try {
      await life.begin();
    } catch (error) {
      this.#end(life);
      throw error;
    }
    if (this.#state === 'stopped') {
      this.#end(life);
      return false;
    }
    this.adopt(life);
    return true;
  }

  #expired(call: Call): void {
    const life = [...this.#lives()].find(({ channel }) => channel.pending(call.recordId) === call);
    if (life === undefined) {
      this.#waiting.delete(call);
      call.fail('queue_timeout', 'the deadline passed before the module could be asked');
      return;
    }
    life.isOverdue(call);
    life.channel.cancel(call, 'deadline');
    const isBehind = this.#vigil.isBehind(life, call);
    const isServed = life.apiLoad.underWay > 0;
    if (isServed) call.fail('api_timeout', 'the deadline passed while the host was serving the module');
    else if (isBehind) call.fail('queue_timeout', 'the deadline passed behind another call of the module');
    else call.fail('module_timeout', `no answer within ${Math.round(call.timeoutMs)} ms`);
    void this.#vigil.doubt(life, call.question.callback, !isServed && !isBehind);
  }

  #violated(life: Life, message: string): void {
    this.#services.logger.error({ module: this.id }, `${this.id} broke the protocol: ${message}`);
    this.#kill(life, `it broke the protocol: ${message}`);
  }

  /** The life is over for us now, whenever its thread ends; the next one does not wait for that. */
  #kill(life: Life, cause: string, counted = false): void {
    this.#services.logger.warn({ module: this.id }, `the cell of ${this.id} is ended: ${cause}`);
    this.#end(life);
    if (!counted) this.#failed(cause);
    if (life !== this.#life) return;
    this.#life = undefined;
    this.#restart(cause);
  }

  #end(life: Life): void {
    this.#leaving.add(life);
    life.cell.kill();
    void life.cell.ended.then(() => {
      this.#leaving.delete(life);
      this.#services.fleet.release(life.cell.hull);
    });
  }

  /** Lets a replaced life answer what it was asked, then ends it. */
  async #letGo(life: Life): Promise<void> {
    this.#leaving.add(life);
    const until = performance.now() + Math.max(LET_GO_MS, this.#longestTimeout());
    // Looked at a moment later: somebody may have found it the present life just now, and be about to ask it. And whoever is
    // asked for a sign of life gives none when it is ended here, so that nobody would learn that it was blocked.
    const isNeeded = (): boolean => isBusy(life) || this.#vigil.doubts(life);
    do await sleep(LOOK_MS);
    while (!life.channel.closed && isNeeded() && performance.now() < until);
    this.#end(life);
  }

  #watchEnd(life: Life): void {
    void life.cell.ended.then(({ marks, cause, excess }) => {
      if (excess !== undefined) this.#watched('memory', 'ended', excess * MEBIBYTE, this.entry.limits.memory);
      if (life === this.#life) {
        this.#life = undefined;
        this.#services.logger.warn({ module: this.id, cause }, `the cell of ${this.id} was lost: ${cause}`);
        this.#services.fleet.release(life.cell.hull);
        this.#failed(`its cell was lost: ${cause}`);
        this.#restart(cause);
      }
      this.#takeBack(life, marks, `the cell was lost while the call was running: ${cause}`);
    });
  }

  /**
   * Calls that cannot have ended the cell are asked once more, of the next life, if their deadlines allow; with `all`
   * those that may have are, too. Being told twice may do something twice: notifications that had begun are not repeated.
   */
  #takeBack(life: Life, marks: CellMarks, message: string, again: 'innocent' | 'all' = 'innocent'): void {
    const culprit = again === 'all' ? undefined : life.callOf(marks.current);
    if (culprit !== undefined && this.#poison.ended(culprit)) {
      const { callback } = culprit.question;
      this.#services.logger.warn(
        { module: this.id, callback },
        `a call of ${callback} has ended the cell of ${this.id} twice: it is not asked again for a while`,
      );
    }
    for (const call of life.channel.takePending()) {
      if (call.isSettled) continue;
      const isAnswered = marks.unsent.includes(call.recordId);
      const isUnbegun = call.recordId > marks.begun;
      const isNotification = callbacks[call.question.callback].join === 'notify';
      if (isNotification && isAnswered) {
        call.settle({ kind: 'nothing' });
        continue;
      }
      const isInnocent = isAnswered || (marks.current !== 0 && marks.current !== call.recordId);
      const askable = isUnbegun || ((isInnocent || again === 'all') && !isNotification);
      if (askable && call.attempt === 1 && call.msLeft > 0 && this.#state !== 'stopped') {
        call.attempt = 2;
        if (this.#breaker.state.state === 'closed') this.#waiting.add(call);
        else call.fail('parked', PARKED);
      } else {
        call.fail('crashed', message);
      }
    }
    this.#sendWaiting();
  }

  #restart(cause: string, isInnocent = false): void {
    if (this.#state === 'stopped') return;
    this.#state = 'restarting';
    this.#cause = cause;
    if (this.state === 'restarting') this.#services.emit('cell', { module: this.id, state: 'restarting', cause });
    const short = performance.now() - this.#begunAt < SHORT_LIFE_MS;
    this.#delay = short ? Math.min(Math.max(this.#delay * 2, 50), LONGEST_DELAY_MS) : 0;
    if (this.#breaker.state.state === 'open') this.#reviveLater();
    else if (isInnocent) void this.#revive();
    else this.#reviveIn(this.#delay);
  }

  /** When the pause of the breaker is over, the module has to be there for its probe. */
  #reviveLater(): void {
    const { state } = this.#breaker;
    if (state.state === 'open' && this.#life === undefined) this.#reviveIn(state.until - performance.now());
  }

  #reviveIn(ms: number): void {
    clearTimeout(this.#revival);
    if (ms > 0) this.#revival = setTimeout(() => this.#reviveIn(0), ms);
    else if (this.#services.mayRestart()) void this.#revive();
    else this.#reviveIn(THROTTLED_MS * (1 + Math.random()));
  }

  async #revive(): Promise<void> {
    if (this.#state === 'stopped' || this.#life !== undefined) return;
    this.#begunAt = performance.now();
    const before = JSON.stringify(this.#registered);
    try {
      if (!(await this.#replaceLife())) return;
      this.#restarts++;
      if (JSON.stringify(this.#registered) !== before) this.#services.registrationChanged();
    } catch (error) {
      if (isLostWithHull(error)) {
        this.#restart('its hull ended while it was set up again');
        return;
      }
      if (this.state === 'stopped') return;
      this.#services.logger.error({ module: this.id, err: error }, `${this.id} could not be set up again`);
      if (this.#breaker.state.state === 'closed') this.#failed('could not be set up again');
      else this.#breaker.park();
      this.#restart('could not be set up again');
    }
  }

  /** Something to be counted against the module. */
  #failed(cause: string): void {
    if (this.#breaker.failed()) this.#parked(`failed too often, last ${cause}`);
  }

  #parked(cause: string): void {
    this.#services.logger.error({ module: this.id }, `${this.id} is parked: ${cause}`);
    for (const call of this.#waiting) call.fail('parked', PARKED);
    this.#waiting.clear();
    this.#cause = cause;
    this.#services.emit('cell', { module: this.id, state: 'parked', cause });
    this.#reviveLater();
    this.#changed();
  }

  #setState(state: ModuleState, cause: string): void {
    this.#state = state;
    this.#cause = cause;
    this.#services.emit('cell', { module: this.id, state: this.state, cause });
    this.#changed();
  }

  #changed(): void {
    const { tell } = this.#change;
    this.#change = nextChange();
    tell();
  }

  #longestTimeout(): number {
    const timeouts = this.#registered.callbacks.map((callback) => this.timeoutOf(callback));
    return timeouts.length === 0 ? USUAL_TIMEOUT_MS : Math.max(LEAST_BLOCKED_MS, ...timeouts);
  }
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

function nextChange(): { readonly happened: Promise<void>; readonly tell: () => void } {
  let tell: () => void = () => {};
  const happened = new Promise<void>((resolve) => {
    tell = resolve;
  });
  return { happened, tell };
}

const isBusy = ({ channel, requests }: Life): boolean => channel.inFlight > 0 || requests.size > 0;
