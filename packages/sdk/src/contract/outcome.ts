// What the homeserver gets for a callback: plain data, a discriminated union, never a bare boolean.

import type { CallbackName, CallbackTable } from './callbacks.js';
import type { EventData } from './event.js';
import type { PRESENCE_ALL_USERS, UserPresenceState } from './shapes.js';
import type { ExtraFields } from './verdict.js';

/** Why a module's answer could not be had. */
export type FailureKind =
  /** The deadline passed before the module had begun. */
  | 'queue_timeout'
  /** The module had begun and did not answer in time. */
  | 'module_timeout'
  /** The deadline passed while the host was serving the module's API call. */
  | 'api_timeout'
  | 'threw'
  /** The cell was lost while the call was running. */
  | 'crashed'
  /** The answer is none that the callback knows. */
  | 'wrong_type'
  /** The answer is larger than the limit. */
  | 'too_large'
  /** The module failed too often and is not asked at present. */
  | 'parked'
  /** The module is being stopped. */
  | 'stopped';

export interface Failure {
  readonly module: string;
  readonly callback: CallbackName;
  readonly kind: FailureKind;
  readonly message: string;
  readonly durationMs: number;
}

/** What a module in `mode: observe` would have said. Nobody waits for it: entries appear in the list as they come. */
export interface Observation {
  readonly module: string;
  readonly would: 'allow' | 'reject' | 'fail';
  readonly detail: string;
  readonly durationMs: number;
}

interface Always {
  readonly failures: readonly Failure[];
  readonly observed: readonly Observation[];
}

/** A refusal, with everything that the client is to be told. `failed`: a module could not be asked, and its policy is to reject. */
export interface Refused extends Always {
  readonly allowed: false;
  readonly cause: 'refused' | 'failed';
  readonly module: string;
  readonly status: number;
  readonly errcode: string;
  readonly error: string;
  readonly extra: ExtraFields;
}

export interface Allowed extends Always {
  readonly allowed: true;
}

export type CheckOutcome = Allowed | Refused;

/** `replacement`: the event's new data, and the module that gave it; rebuild and authorise the event anew. */
export type ReplacementOutcome =
  | (Allowed & { readonly replacement?: { readonly module: string; readonly event: EventData } })
  | Refused;

export type ContentOutcome = (Allowed & { readonly content: Readonly<Record<string, unknown>> }) | Refused;

type Denial = Omit<Refused, 'allowed'>;

export type RegistrationOutcome =
  | (Always & { readonly behaviour: 'allow' })
  | (Always & { readonly behaviour: 'shadow_ban'; readonly module: string })
  | (Denial & { readonly behaviour: 'deny' });

/** `expired: true` with cause `failed` is a module that could not be asked: status 500, never the expired code. */
export type ExpiryOutcome =
  | (Always & { readonly expired: null })
  | (Always & { readonly expired: false; readonly module: string })
  | (Denial & { readonly expired: true });

export type UsersForStatesOutcome = Always & {
  readonly users: ReadonlyMap<string, readonly UserPresenceState[]>;
};

export type InterestedUsersOutcome = Always & { readonly users: ReadonlySet<string> | typeof PRESENCE_ALL_USERS };

export type NotifyOutcome = Always;

interface OutcomeByAnswer {
  check: CheckOutcome;
  registration: RegistrationOutcome;
  expiry: ExpiryOutcome;
  nothing: NotifyOutcome;
  replacement: ReplacementOutcome;
  content: ContentOutcome;
  usersForStates: UsersForStatesOutcome;
  interestedUsers: InterestedUsersOutcome;
}

export type Outcome<K extends CallbackName> = OutcomeByAnswer[CallbackTable[K]['answer']['kind']];
