// The facade that embedders hold: one typed method per row of the table, `fetch` for web resources, and the lifecycle.

import type {
  CallbackArgs,
  CallbackName,
  CallbackNameOf,
  Category,
  FailureKind,
  Outcome,
} from '@bulkhead/sdk/contract';
import type { Permissions } from './config/entry.js';

/** What a call may carry besides the callback's arguments. */
export interface CallOptions {
  /** Gives the call up: outcomes settle by failure policy with `stopped`. */
  readonly signal?: AbortSignal;
  /** Where the event came from; modules see it as `context.origin`. */
  readonly origin?: 'client' | 'federation';
  /** The version of the event's room; modules see it as `context.roomVersion`. */
  readonly roomVersion?: string;
}

export type CategoryMethods<C extends Category> = {
  readonly [K in CallbackNameOf<C>]: (...args: [...CallbackArgs<K>, options?: CallOptions]) => Promise<Outcome<K>>;
};

export interface Modules extends CallbackMethods {
  /** Whether a module registered the callback. With nobody, a call costs nothing. */
  has(callback: CallbackName): boolean;
  /** Answers a request to a module's web resource; `undefined` when the path is nobody's. */
  fetch(request: Request): Promise<Response | undefined>;
  status(): readonly ModuleStatus[];
  /** Gives the module a new life, and another chance if it was parked. */
  restart(id: string): Promise<void>;
  /**
   * Takes a new configuration: starts, stops, restarts what changed. A faulty one changes nothing.
   * @param config a file's path, or parsed content; without it the file is read again
   * @throws ConfigurationError
   */
  reload(config?: string | object): Promise<void>;
  /** Removes what a module stored. Only when it is configured no more. @throws BulkheadError `StillConfigured` */
  forget(id: string): Promise<void>;
  /** Stops taking calls, waits for those under way (5 s unless told otherwise), ends every cell and hull. */
  close(options?: { readonly drainMs?: number }): Promise<void>;
  on<E extends keyof ModuleEvents>(event: E, listener: (data: ModuleEvents[E]) => void): () => void;
}

export type CallbackMethods = { readonly [C in Category]: CategoryMethods<C> };

export type ModuleState = 'starting' | 'running' | 'restarting' | 'parked' | 'stopped';

export interface ModuleStatus {
  readonly id: string;
  readonly specifier: string;
  readonly state: ModuleState;
  /** Why it is in that state. */
  readonly cause: string;
  readonly mode: 'enforce' | 'observe';
  /** In how many cells it is to run, and runs. What follows is of all of them together, except where one stands for them. */
  readonly instances: { readonly configured: number; readonly running: number };
  readonly callbacks: readonly CallbackName[];
  readonly resources: readonly string[];
  /** What the module says that it needs, and what it has. */
  readonly permissions: { readonly asked: Permissions; readonly granted: Permissions };
  /** How often the module was given a new life since the start. */
  readonly restarts: number;
  readonly calls: number;
  readonly failures: Readonly<Partial<Record<FailureKind, number>>>;
  readonly inFlight: number;
  /** Milliseconds that loading, parseConfig and set-up took together in the present life; the longest, of several. */
  readonly startMs: number;
  /** Of the cell, in bytes, as far as it is known. */
  readonly memory: number | undefined;
  /** The share of the last second in which its thread was busy, from 0 to 1 for each instance. */
  readonly cpu: number;
  /** Calls of the ModuleApi that the host is working on. */
  readonly apiCalls: number;
  /** How often the watchdog found it at each of its limits. */
  readonly watches: Readonly<Partial<Record<WatchedLimit, number>>>;
  /** The process that the module's cell lives in, or the first of several; absent with `containment: thread`. */
  readonly hullPid: number | undefined;
}

export type WatchedLimit = 'memory' | 'cpu' | 'host_time';

export interface ModuleEvents {
  /** A cell changed its state. */
  cell: { readonly module: string; readonly state: ModuleState; readonly cause: string };
  /** A hull ended; `modules` are the culprit, or the suspects. */
  hull: { readonly pid: number; readonly cause: string; readonly modules: readonly string[]; readonly known: boolean };
  /** The watchdog found a module at one of its limits. */
  watch: {
    readonly module: string;
    /** As in the configuration: `memory`, `cpu`, `host_time`. */
    readonly limit: WatchedLimit;
    /** `throttled`: it waits; `slowed`: the others' threads come first; `ended`: its cell is. */
    readonly action: 'throttled' | 'slowed' | 'ended';
    /** What it used: bytes, or a share of one core. */
    readonly used: number;
    readonly allowed: number;
  };
  /** A call was decided, or failed. */
  call: {
    readonly module: string;
    readonly callback: CallbackName;
    readonly result: 'allow' | 'reject' | FailureKind;
    readonly durationMs: number;
  };
}
