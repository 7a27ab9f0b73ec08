// What one row of the table says, and the types that follow from it. A row is data: it can be printed, compared and sent.

import type * as v from 'valibot';
import type { EventData, EventDict, MatrixEvent, StateLookup, StateMap } from './event.js';
import type { MediaFile, MediaSource, PRESENCE_ALL_USERS, UserPresenceState } from './shapes.js';
import type { Deny, ExtraFields, RegistrationBehaviour, Verdict } from './verdict.js';

export type Category = 'spamChecker' | 'accountValidity' | 'thirdPartyRules' | 'presenceRouter';

/** How an argument crosses: as JSON, as JSON with helpers put on it inside, or as a handle through which the module asks. */
export type ArgForm = 'json' | 'event' | 'state' | 'file';

export interface Arg {
  readonly name: string;
  readonly form: ArgForm;
  readonly schema: v.GenericSchema;
}

export type JoinName = 'firstRejection' | 'firstAnswer' | 'firstReplacement' | 'waterfall' | 'union' | 'notify';

/** What a module may return. `check` says which boolean refuses, and whether a string is a reason. */
export type AnswerSpec =
  | { readonly kind: 'check'; readonly rejects: boolean; readonly text: 'reason' | 'wrong' }
  | { readonly kind: 'registration' | 'expiry' | 'nothing' | 'usersForStates' | 'interestedUsers' }
  /** The event at this argument may be replaced. */
  | { readonly kind: 'replacement'; readonly of: number }
  /** The object at this argument may be changed in place or returned anew. */
  | { readonly kind: 'content'; readonly of: number };

/** Status, error code and default message of a refusal. */
export interface Refusal {
  readonly status: number;
  readonly errcode: string;
  readonly error: string;
}

export type FailurePolicy = 'allow' | 'reject';

export interface Row {
  readonly category: Category;
  readonly args: readonly Arg[];
  readonly answer: AnswerSpec;
  readonly join: JoinName;
  /** What the client is told when a module refuses. Absent where nothing can be refused. */
  readonly refusal?: Refusal;
  /** What the client is told when a module failed and the policy is `reject`; default 500 `M_UNKNOWN`. */
  readonly failureRefusal?: Refusal;
  /** What a module's failure means unless the admin says otherwise; `skip` cannot be overridden. */
  readonly onFailure: FailurePolicy | 'skip';
  /** In milliseconds. */
  readonly timeout: number;
  /** The largest answer, in bytes of JSON, where it differs from the usual 128 KiB. */
  readonly resultLimit?: number;
  /** Concurrent calls with equal arguments share one question. */
  readonly shared?: true;
  /** Callbacks that must be registered together with this one. */
  readonly requires?: readonly string[];
  /** Synapse's version that introduced it. */
  readonly since: string;
  readonly doc: string;
  readonly warning?: string;
}

export const arg = <const N extends string, const S extends v.GenericSchema, const F extends ArgForm = 'json'>(
  name: N,
  schema: S,
  form: F = 'json' as F,
) => ({ name, schema, form }) as const;

export type Awaitable<T> = T | Promise<T>;

/** An argument as the embedder passes it. */
export type HostArg<A extends Arg> = A['form'] extends 'event'
  ? EventData
  : A['form'] extends 'state'
    ? StateLookup
    : A['form'] extends 'file'
      ? MediaSource
      : DeepReadonly<v.InferInput<A['schema']>>;

/** An argument as the module receives it: its own copy, or a handle. */
export type ModuleArg<A extends Arg> = A['form'] extends 'event'
  ? MatrixEvent
  : A['form'] extends 'state'
    ? StateMap
    : A['form'] extends 'file'
      ? MediaFile
      : v.InferOutput<A['schema']>;

export type HostArgs<A extends readonly Arg[]> = { [I in keyof A]: HostArg<A[I]> };
export type ModuleArgs<A extends readonly Arg[]> = { [I in keyof A]: ModuleArg<A[I]> };

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? number extends T['length']
    ? readonly DeepReadonly<E>[]
    : { readonly [I in keyof T]: DeepReadonly<T[I]> }
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** What every check may return. `[Codes.X, extra]` adds fields to the error body. */
export type Check = boolean | Verdict | readonly [Deny, ExtraFields] | 'NOT_SPAM';

type SetOrList<T> = ReadonlySet<T> | readonly T[];

export type Answer<S extends AnswerSpec> = S extends { kind: 'check'; text: 'reason' }
  ? Check | string
  : S extends { kind: 'check' }
    ? Check
    : S extends { kind: 'registration' }
      ? RegistrationBehaviour | Verdict
      : S extends { kind: 'expiry' }
        ? boolean | null | undefined
        : S extends { kind: 'replacement' }
          ? Check | readonly [allowed: boolean, replacement: EventDict | EventData | null]
          : S extends { kind: 'content' }
            ? Readonly<Record<string, unknown>> | void
            : S extends { kind: 'usersForStates' }
              ?
                  | ReadonlyMap<string, SetOrList<UserPresenceState>>
                  | Readonly<Record<string, SetOrList<UserPresenceState>>>
              : S extends { kind: 'interestedUsers' }
                ? SetOrList<string> | typeof PRESENCE_ALL_USERS
                : void;

/** The last argument of every callback. What a callback learns later goes here, so positions are for ever. */
export interface CallContext {
  /** Fires when the call is over for the host: its deadline passed, or the answer is not needed any more. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  /** The same for every module asked, and for a repeated call. */
  readonly callId: string;
  /** 1, or 2 when the call is repeated because the cell was lost before it had begun. */
  readonly attempt: number;
  /** Where the event came from, on rows that say so. */
  readonly origin?: 'client' | 'federation';
  /** The version of the event's room, where the homeserver gave it. */
  readonly roomVersion?: string;
}
