// What the page is told about the modules, ten times a second at most: sums and excerpts, never a line for each call.

import type { FailureKind, ModuleEvents, ModuleState } from '@bulkhead/runtime';
import type { CallbackName } from '@bulkhead/sdk/contract';

export interface Report {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly asked: readonly Asked[];
  readonly rulings: readonly Ruling[];
  readonly watches: readonly ModuleEvents['watch'][];
  readonly incidents: readonly Incident[];
  /** Once a second, and when one of them changed its state. */
  readonly modules?: readonly ModuleLine[];
  /** Rulings and the like that found no room in this report, or reports that the watcher was too slow for. */
  readonly omitted: number;
}

/** The calls of one callback to one module that ended alike since the last report. */
export interface Asked {
  readonly module: string;
  readonly callback: CallbackName;
  readonly result: 'allow' | 'reject' | FailureKind;
  readonly count: number;
  readonly slowestMs: number;
}

/** What became of a question that was not simply allowed. */
export interface Ruling {
  readonly callback: CallbackName;
  /** What it was about: who does what. */
  readonly about: string;
  /** `failed`: no answer could be had, and the policy is to refuse; `overlooked`: likewise, and it is to let pass. */
  readonly verdict: 'refused' | 'failed' | 'overlooked' | 'replaced' | 'shadow_banned';
  readonly module: string;
  /** What the client is told, or what becomes of the matter. */
  readonly told: string;
  /** What went wrong inside, for those who may know. */
  readonly failure?: { readonly kind: FailureKind; readonly message: string };
  /** Of the whole question, whoever was asked. */
  readonly durationMs: number;
}

/** Modules that were lost together, and how they came back. */
export interface Incident {
  readonly id: number;
  readonly cause: string;
  /** Present when a whole hull ended; `culprits` are then those who did it, if `known`, or are suspected. */
  readonly hull?: { readonly pid: number; readonly culprits: readonly string[]; readonly known: boolean };
  readonly lost: readonly string[];
  /** How many modules did not notice. */
  readonly undisturbed: number;
  /** Those of the lost that do not run yet. */
  readonly waiting: readonly string[];
  /** From the loss until the last of those that run again did. */
  readonly backMs: number;
}

export interface ModuleLine {
  readonly id: string;
  readonly state: ModuleState;
  readonly cause: string;
  readonly calls: number;
  readonly failures: number;
  readonly restarts: number;
  /** In bytes, as far as it is known. */
  readonly memory: number | undefined;
  /** From 0 to 1. */
  readonly cpu: number;
  readonly hullPid: number | undefined;
}
