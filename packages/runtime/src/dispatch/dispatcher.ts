// Fans a callback out to the modules that registered it and joins their answers. Knows no threads and no processes: a
// module is something that can be asked.

import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type AnswerSpec,
  type CallbackName,
  callbacks,
  EventData,
  type Failure,
  type FailureKind,
  type FailurePolicy,
  isEventData,
  type MediaSource,
  type Observation,
  type Outcome,
  type Row,
  type StateLookup,
} from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Body } from '../wire/frame.js';
import type { CallBody } from '../wire/record.js';
import { Call, type LiveArg, type Question, type RawAnswer } from './call.js';
import { BulkheadError } from './errors.js';
import { type Decision, joins, type Result, undecided } from './join.js';
import { type JudgeContext, type Judgement, judge } from './judge.js';
import { outcomeOf, type Surroundings } from './outcome.js';

/** A module as the dispatcher sees it. */
export interface Askable {
  readonly id: string;
  readonly mode: 'enforce' | 'observe';
  /** Types of state events that shall come with its calls. */
  readonly stateTypes: readonly string[];
  timeoutOf(callback: CallbackName): number;
  policyOf(callback: CallbackName): FailurePolicy | 'skip';
  resultLimitOf(callback: CallbackName): number;
  /** Takes the call; it is settled in any case, at its deadline at the latest. */
  ask(call: Call): void;
  /** Nobody waits for the answer any more. */
  cancel(call: Call): void;
  /** How the call ended, for the breaker and the counters. */
  judged(
    callback: CallbackName,
    result: 'allow' | 'reject' | FailureKind,
    durationMs: number,
    message: string,
    stack?: string,
  ): void;
  warn(callback: CallbackName, message: string): void;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly origin?: 'client' | 'federation';
  readonly roomVersion?: string;
}

export interface DispatcherOptions {
  readonly serverName: string;
  /** The modules that registered the callback, in configuration order. */
  readonly registered: (callback: CallbackName) => readonly Askable[];
  readonly fanOutOf: (callback: CallbackName) => 'parallel' | 'sequential';
}

/** State events of one type that come with a call, and their size in characters; of more the module asks for those it needs. */
const MOST_KNOWN_EVENTS = 100;
const MOST_KNOWN_TEXT = 64 * 1024;

/** How deep the current chain of calls is that modules caused; set by the host's end of the ModuleApi. */
export const chain = new AsyncLocalStorage<number>();

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #shared = new Map<string, Promise<unknown>>();
  #generation: Generation = { underWay: 0, over: () => {} };
  #earlier: Promise<unknown> = Promise.resolve();
  #lastCall = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** @throws BulkheadError `InvalidArgument` */
  dispatch<K extends CallbackName>(callback: K, given: readonly unknown[]): Promise<Outcome<K>> {
    const row: Row = callbacks[callback];
    const modules = this.#options.registered(callback);
    if (modules.length === 0) {
      return Promise.resolve(outcomeOf<K>(undecided, { row, args: given, failures: [], observed: [] }));
    }
    const options = (given[row.args.length] ?? noOptions) as CallOptions;
    const prepared = prepare(callback, row, given);
    // Whoever may give the call up asks alone: his signal must not settle what others asked.
    if (!row.shared || options.signal !== undefined) return this.#fanOut<K>(callback, row, prepared, modules, options);
    // A module that causes the same question while it answers it would wait for itself, hence the depth.
    const key = `${callback} ${chain.getStore() ?? 0} ${JSON.stringify(prepared.wire)}`;
    let shared = this.#shared.get(key) as Promise<Outcome<K>> | undefined;
    if (shared === undefined) {
      shared = this.#fanOut<K>(callback, row, prepared, modules, options).finally(() => this.#shared.delete(key));
      this.#shared.set(key, shared);
    }
    return shared;
  }

  #fanOut<K extends CallbackName>(
    callback: K,
    row: Row,
    prepared: Prepared,
    modules: readonly Askable[],
    options: CallOptions,
  ): Promise<Outcome<K>> {
    const hasObservers = modules.some(observes);
    const parallel = joins[row.join].order === 'parallel' && this.#options.fanOutOf(callback) === 'parallel';
    const generation = this.#generation;
    generation.underWay++;
    return new Promise<Outcome<K>>((resolve) => {
      const fanOut = new FanOut({
        callback,
        callId: `c${++this.#lastCall}`,
        row,
        prepared,
        options,
        serverName: this.#options.serverName,
        depth: chain.getStore() ?? 0,
        modules: hasObservers ? modules.filter((module) => !observes(module)) : modules,
        observers: hasObservers ? modules.filter(observes) : nobody,
        resolve: resolve as (outcome: object) => void,
        generation,
      });
      fanOut.start(parallel);
    });
  }

  /** Resolves when every fan-out that is under way now has its outcome. */
  settled(): Promise<unknown> {
    const generation = this.#generation;
    this.#generation = { underWay: 0, over: () => {} };
    if (generation.underWay > 0) {
      const over = new Promise<void>((resolve) => {
        generation.over = resolve;
      });
      this.#earlier = Promise.all([this.#earlier, over]);
    }
    return this.#earlier;
  }
}

/** The fan-outs that began between two questions for when all have settled: a number is kept of them, no list. */
interface Generation {
  underWay: number;
  over: () => void;
}

const observes = ({ mode }: Askable): boolean => mode === 'observe';
const nobody: readonly Askable[] = [];
const noOptions: CallOptions = {};

interface Prepared {
  /** The arguments as JSON will say them; what stays on the host is a stand-in. */
  readonly wire: readonly unknown[];
  readonly live: ReadonlyMap<number, LiveArg>;
}

const nothingLive: ReadonlyMap<number, LiveArg> = new Map();

function prepare(callback: CallbackName, row: Row, args: readonly unknown[]): Prepared {
  const live = row.args.some(({ form }) => form === 'state' || form === 'file')
    ? new Map<number, LiveArg>()
    : undefined;
  const wire = row.args.map(({ name, form, schema }, index) => {
    if (form === 'event' && isEventData(args[index])) return args[index];
    const parsed = v.safeParse(schema, args[index] ?? null);
    if (!parsed.success) {
      const [issue] = parsed.issues;
      const path = v.getDotPath(issue);
      const where = path === null ? name : `${name}.${path}`;
      throw new BulkheadError('InvalidArgument', `${callback}: ${where}: ${issue.message}`);
    }
    if (form === 'state') {
      live?.set(index, { state: args[index] as StateLookup });
      return null;
    }
    if (form === 'file') {
      const file = args[index] as MediaSource;
      live?.set(index, { file });
      return { size: file.size };
    }
    return parsed.output;
  });
  return { wire, live: live ?? nothingLive };
}

interface FanOutParts {
  readonly callback: CallbackName;
  readonly callId: string;
  readonly row: Row;
  readonly prepared: Prepared;
  readonly options: CallOptions;
  readonly serverName: string;
  readonly depth: number;
  readonly modules: readonly Askable[];
  readonly observers: readonly Askable[];
  readonly resolve: (outcome: object) => void;
  readonly generation: Generation;
}

const nothingObserved: readonly Observation[] = Object.freeze([]);
const noFailures: readonly Failure[] = Object.freeze([]);

/** Of these there is one for each call, so they hold no more than they have to, and arrays are of the right size at once. */
class FanOut implements Question, JudgeContext, Surroundings {
  args: readonly unknown[];
  readonly #parts: FanOutParts;
  /** By the module's place in the configuration. */
  readonly #judgements: (Judgement | undefined)[];
  readonly #calls: (Call | undefined)[];
  #failures: (Failure | undefined)[] | undefined;
  /** Grows after the outcome is there: nobody waits for observers. */
  readonly observed: readonly Observation[];
  #text: string | undefined;
  #body: Body | undefined;
  #state: Map<string, Promise<string>> | undefined;
  #isSequential = false;
  /** How many results of the configuration's order have been taken into the decision. */
  #prefix = 0;
  #decision: Decision = undecided;
  #finished = false;
  #stop: (() => void) | undefined;
  /** Of the whole, for rows that ask one module after another; on the clock of `performance.now()`. */
  #wholeDeadline = Number.POSITIVE_INFINITY;

  constructor(parts: FanOutParts) {
    this.#parts = parts;
    this.args = parts.prepared.wire;
    this.#judgements = new Array(parts.modules.length);
    this.#calls = new Array(parts.modules.length);
    this.observed = parts.observers === nobody ? nothingObserved : [];
  }

  get callback(): CallbackName {
    return this.#parts.callback;
  }

  get callId(): string {
    return this.#parts.callId;
  }

  get live(): ReadonlyMap<number, LiveArg> {
    return this.#parts.prepared.live;
  }

  get depth(): number {
    return this.#parts.depth;
  }

  get row(): Row {
    return this.#parts.row;
  }

  get serverName(): string {
    return this.#parts.serverName;
  }

  get remote(): boolean {
    return this.#parts.options.origin === 'federation';
  }

  get failures(): readonly Failure[] {
    return this.#failures?.filter((failure) => failure !== undefined) ?? noFailures;
  }

  start(parallel: boolean): void {
    const { modules, observers, options } = this.#parts;
    if (options.signal?.aborted) {
      this.#giveUp();
      return;
    }
    for (let index = 0; index < observers.length; index++) this.#observe(index);
    if (options.signal !== undefined) {
      this.#stop = () => this.#giveUp();
      options.signal.addEventListener('abort', this.#stop, { once: true });
    }
    if (modules.length === 0) {
      this.#finish(undecided);
    } else if (parallel) {
      const now = performance.now();
      for (let index = 0; index < modules.length && !this.#finished; index++) this.#ask(index, now);
    } else {
      this.#isSequential = true;
      this.#wholeDeadline =
        performance.now() + 2 * Math.max(...modules.map((module) => module.timeoutOf(this.callback)));
      this.#ask(0);
    }
  }

  #ask(index: number, now = performance.now()): void {
    const module = this.#parts.modules[index] as Askable;
    let timeoutMs = module.timeoutOf(this.callback);
    if (this.#isSequential) {
      timeoutMs = Math.min(timeoutMs, this.#wholeDeadline - now);
      if (timeoutMs <= 0) {
        module.judged(this.callback, outOfTime.failure, 0, outOfTime.message);
        this.#take(index, module, outOfTime, 0);
        return;
      }
    }
    const call = new Call(this, this.#bodyFor(module), timeoutMs, index, now);
    this.#calls[index] = call;
    module.ask(call);
  }

  #observe(index: number): void {
    const module = this.#parts.observers[index] as Askable;
    const place = this.#parts.modules.length + index;
    module.ask(new Call(this, this.#bodyFor(module), module.timeoutOf(this.callback), place));
  }

  settled({ place, timeoutMs }: Call, answer: RawAnswer, durationMs: number): void {
    const { modules, observers } = this.#parts;
    const module = (modules[place] ?? observers[place - modules.length]) as Askable;
    const isCutShort = this.#isSequential && timeoutMs < module.timeoutOf(this.callback);
    const judgement = judge(isCutShort ? cutShort(answer) : answer, this, module);
    const failed = judgement.kind === 'fail';
    const result = failed ? judgement.failure : refuses(judgement, this.row) ? 'reject' : 'allow';
    if (failed) module.judged(this.callback, result, durationMs, judgement.message, judgement.stack);
    else module.judged(this.callback, result, durationMs, '');
    if (place < modules.length) {
      this.#calls[place] = undefined;
      this.#take(place, module, judgement, durationMs);
    } else {
      const would = failed ? 'fail' : (result as 'allow' | 'reject');
      (this.observed as Observation[]).push({ module: module.id, would, detail: detailOf(judgement), durationMs });
    }
  }

  /** Serialised once for all modules; anew only when a module changed what the next one is to see. */
  #bodyFor({ stateTypes }: Askable): Body | Promise<Body> {
    this.#text ??= this.#serialise();
    const state = stateTypes.length === 0 ? undefined : stateOf(this.live);
    if (state === undefined) {
      // Text that is written once need not be made bytes first.
      const isLone = this.#parts.modules.length + this.#parts.observers.length === 1;
      this.#body ??= isLone ? this.#text : Buffer.from(this.#text);
      return this.#body;
    }
    const head = this.#text.slice(0, -1);
    const known = Promise.all(stateTypes.map((type) => this.#knownState(state, type)));
    return known.then((parts) => `${head},"state":{${parts.filter((part) => part !== '').join(',')}}}`);
  }

  #serialise(): string {
    const { origin, roomVersion } = this.#parts.options;
    const { callback, callId, args } = this;
    // What is undefined, JSON leaves out.
    const body: { readonly [K in keyof CallBody]: CallBody[K] | undefined } = {
      callback,
      callId,
      args,
      origin,
      roomVersion,
    };
    return JSON.stringify(body);
  }

  /** Each type is looked up once for all modules. */
  #knownState(state: StateLookup, type: string): Promise<string> {
    this.#state ??= new Map();
    let part = this.#state.get(type);
    if (part === undefined) {
      part = memberOf(state, type).catch(() => '');
      this.#state.set(type, part);
    }
    return part;
  }

  #take(index: number, module: Askable, judgement: Judgement, durationMs: number): void {
    if (this.#finished) return;
    const { callback, row } = this;
    const join = joins[row.join];
    if (judgement.kind === 'fail') {
      const { failure: kind, message } = judgement;
      this.#failures ??= [];
      this.#failures[index] = { module: module.id, callback, kind, message, durationMs };
    }
    this.#judgements[index] = judgement;
    if (join.absorbs?.(judgement)) {
      this.#finish(join.step(this.#decision, this.#result(index, judgement), row).decision);
      return;
    }
    for (let next = this.#judgements[this.#prefix]; next !== undefined; next = this.#judgements[this.#prefix]) {
      const place = this.#prefix++;
      // What has no opinion changes no decision, however answers are joined.
      if (next.kind !== 'pass') {
        const { decision, final } = join.step(this.#decision, this.#result(place, next), row);
        this.#decision = decision;
        if (final) {
          this.#finish(decision);
          return;
        }
        if (join.replacesArg && decision.kind === 'value') this.#replaceArg(decision.value);
      }
      if (this.#prefix === this.#parts.modules.length) {
        this.#finish(this.#decision);
        return;
      }
    }
    if (this.#isSequential) this.#ask(index + 1);
  }

  #result(place: number, judgement: Judgement): Result {
    const module = this.#parts.modules[place] as Askable;
    return { module: module.id, judgement, policy: module.policyOf(this.callback) };
  }

  #replaceArg(value: unknown): void {
    const { of } = this.row.answer as Extract<AnswerSpec, { of: number }>;
    this.args = this.args.with(of, value);
    this.#body = undefined;
    this.#text = undefined;
  }

  #finish(decision: Decision): void {
    this.#finished = true;
    const { modules, options, resolve, generation } = this.#parts;
    if (this.#stop !== undefined) options.signal?.removeEventListener('abort', this.#stop);
    for (let index = 0; index < modules.length; index++) this.#cancel(index);
    resolve(outcomeOf(decision, this));
    if (--generation.underWay === 0) generation.over();
  }

  /** The embedder gave the call up: every module that was not heard counts as stopped. */
  #giveUp(): void {
    const { modules } = this.#parts;
    // Nobody is asked any more.
    this.#isSequential = false;
    modules.forEach((module, index) => {
      this.#cancel(index);
      if (this.#judgements[index] === undefined) {
        this.#take(index, module, { kind: 'fail', failure: 'stopped', message: 'the call was given up' }, 0);
      }
    });
    if (!this.#finished) this.#finish(this.#decision);
  }

  #cancel(index: number): void {
    const call = this.#calls[index];
    if (call === undefined) return;
    this.#calls[index] = undefined;
    this.#parts.modules[index]?.cancel(call);
  }
}

const outOfTime = {
  kind: 'fail',
  failure: 'queue_timeout',
  message: 'the deadline of all modules together passed before this one was asked',
} as const satisfies Judgement;

/** A module that had less than its own time, because others used up that of the whole, is not to blame. */
function cutShort(answer: RawAnswer): RawAnswer {
  return answer.kind === 'failed' && answer.failure === 'module_timeout'
    ? { ...answer, failure: 'queue_timeout' }
    : answer;
}

/** Whether the answer is one that refuses: for the counters, so is an expired account and a shadow ban. */
function refuses(judgement: Judgement, row: Row): boolean {
  if (judgement.kind === 'refuse') return true;
  if (judgement.kind !== 'answer') return false;
  return row.answer.kind === 'registration' || (row.answer.kind === 'expiry' && judgement.value === true);
}

/** What an admin who only observes is told of an answer. */
function detailOf(judgement: Judgement): string {
  if (judgement.kind === 'fail') return judgement.message;
  if (judgement.kind === 'refuse') return judgement.refusal.error;
  return judgement.kind === 'answer' && typeof judgement.value === 'string' ? judgement.value : '';
}

function stateOf(live: ReadonlyMap<number, LiveArg>): StateLookup | undefined {
  for (const arg of live.values()) if ('state' in arg) return arg.state;
  return undefined;
}

/** All state events of a type as a member of a JSON object, or nothing when they are too many. */
async function memberOf(state: StateLookup, type: string): Promise<string> {
  const events = await state.list(type, MOST_KNOWN_EVENTS + 1);
  if (events.length > MOST_KNOWN_EVENTS) return '';
  const texts: string[] = [];
  let length = 0;
  for (const event of events) {
    const text = JSON.stringify(v.parse(EventData, event));
    length += text.length;
    if (length > MOST_KNOWN_TEXT) return '';
    texts.push(text);
  }
  return `${JSON.stringify(type)}:[${texts.join(',')}]`;
}
