// How the answers of several modules become one. A kind of join is an order and a pure step over the modules' results in
// configuration order; it knows nothing of time, so whoever answered first makes no difference.

import type { ExtraFields } from '@bulkhead/sdk/contract';
import {
  type FailurePolicy,
  type JoinName,
  PRESENCE_ALL_USERS,
  type Refusal,
  type Row,
  type UserPresenceState,
} from '@bulkhead/sdk/contract';
import type { Judgement } from './judge.js';

/** One module's judged answer, with what its failure is to mean. */
export interface Result {
  readonly module: string;
  readonly judgement: Judgement;
  readonly policy: FailurePolicy | 'skip';
}

/** What the modules decided together. `value` is of the kind that the row's answers have. */
export type Decision =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'denied';
      readonly cause: 'refused' | 'failed';
      readonly module: string;
      readonly refusal: Refusal & { readonly extra: ExtraFields };
    }
  | { readonly kind: 'value'; readonly module: string; readonly value: unknown };

export interface Join {
  readonly order: 'parallel' | 'sequential';
  /** Takes the next result in configuration order. `final`: nothing that comes can change the decision any more. */
  step(decision: Decision, result: Result, row: Row): { readonly decision: Decision; readonly final: boolean };
  /** Whether this answer alone makes the outcome, whatever stands before it. */
  absorbs?(judgement: Judgement): boolean;
  /** The argument that the next module gets in place of the one given, when modules are asked one after another. */
  readonly replacesArg?: true;
}

export const undecided: Decision = { kind: 'none' };

export const joins: Record<JoinName, Join> = {
  firstRejection: { order: 'parallel', step: firstOf() },
  firstAnswer: { order: 'parallel', step: firstOf() },
  firstReplacement: { order: 'sequential', step: firstOf() },
  waterfall: {
    order: 'sequential',
    replacesArg: true,
    step(decision, result, row) {
      const denied = denial(result, row);
      if (denied !== undefined) return { decision: denied, final: true };
      return { decision: valueIn(result) ?? decision, final: false };
    },
  },
  union: {
    order: 'parallel',
    absorbs: (judgement) => judgement.kind === 'answer' && judgement.value === PRESENCE_ALL_USERS,
    step(decision, result) {
      const value = valueIn(result);
      if (value === undefined) return { decision, final: false };
      const merged = decision.kind === 'value' ? merge(decision.value, value.value) : value.value;
      return { decision: { ...value, value: merged }, final: merged === PRESENCE_ALL_USERS };
    },
  },
  // One after another, so that all are told in the order of the configuration.
  notify: { order: 'sequential', step: (decision) => ({ decision, final: false }) },
};

function firstOf(): Join['step'] {
  return (decision, result, row) => {
    const decisive = denial(result, row) ?? valueIn(result);
    return decisive === undefined ? { decision, final: false } : { decision: decisive, final: true };
  };
}

const couldNotAsk: Refusal = { status: 500, errcode: 'M_UNKNOWN', error: 'The request could not be checked' };

function denial({ module, judgement, policy }: Result, row: Row): Decision | undefined {
  if (judgement.kind === 'refuse') return { kind: 'denied', cause: 'refused', module, refusal: judgement.refusal };
  if (judgement.kind !== 'fail' || policy !== 'reject') return undefined;
  return { kind: 'denied', cause: 'failed', module, refusal: { ...(row.failureRefusal ?? couldNotAsk), extra: {} } };
}

function valueIn({ module, judgement }: Result): Extract<Decision, { kind: 'value' }> | undefined {
  return judgement.kind === 'answer' ? { kind: 'value', module, value: judgement.value } : undefined;
}

type States = ReadonlyMap<string, readonly UserPresenceState[]>;

/** The union of two sets of users, or of two maps of users to states, states united by identity: equal ones are one object. */
function merge(a: unknown, b: unknown): unknown {
  if (a === PRESENCE_ALL_USERS || b === PRESENCE_ALL_USERS) return PRESENCE_ALL_USERS;
  if (a instanceof Set && b instanceof Set) return new Set([...a, ...b]);
  const merged = new Map(a as States);
  for (const [userId, states] of b as States) {
    merged.set(userId, [...new Set([...(merged.get(userId) ?? []), ...states])]);
  }
  return merged;
}
