// What the modules decided, in the shape that the row's callers get.

import type { AnswerSpec, CallbackName, Failure, Observation, Outcome, Refusal, Row } from '@bulkhead/sdk/contract';
import type { Decision } from './join.js';

/** What stands around the decision; read once. */
export interface Surroundings {
  readonly row: Row;
  readonly args: readonly unknown[];
  readonly failures: readonly Failure[];
  readonly observed: readonly Observation[];
}

export function outcomeOf<K extends CallbackName>(decision: Decision, surroundings: Surroundings): Outcome<K> {
  return shapes[surroundings.row.answer.kind](decision, surroundings) as Outcome<K>;
}

type Shape = (decision: Decision, surroundings: Surroundings) => object;

const shapes: Record<AnswerSpec['kind'], Shape> = {
  check: (decision, around) => (decision.kind === 'denied' ? refused(decision, around) : allowed(around)),

  replacement(decision, around) {
    if (decision.kind === 'denied') return refused(decision, around);
    if (decision.kind === 'none') return allowed(around);
    return { ...allowed(around), replacement: { module: decision.module, event: decision.value } };
  },

  content(decision, around) {
    if (decision.kind === 'denied') return refused(decision, around);
    const { of } = around.row.answer as Extract<AnswerSpec, { kind: 'content' }>;
    return { ...allowed(around), content: decision.kind === 'value' ? decision.value : around.args[of] };
  },

  registration(decision, around) {
    if (decision.kind === 'denied') return { behaviour: 'deny', ...denial(decision), ...always(around) };
    if (decision.kind === 'none') return { behaviour: 'allow', ...always(around) };
    return { behaviour: decision.value, module: decision.module, ...always(around) };
  },

  expiry(decision, around) {
    if (decision.kind === 'denied') return { expired: true, ...denial(decision), ...always(around) };
    if (decision.kind === 'none') return { expired: null, ...always(around) };
    const { module, value } = decision;
    if (value === false) return { expired: false, module, ...always(around) };
    const refusal = { ...(around.row.refusal as Refusal), extra: {} };
    return { expired: true, ...denial({ kind: 'denied', cause: 'refused', module, refusal }), ...always(around) };
  },

  nothing: (_, around) => always(around),
  usersForStates: (decision, around) => ({
    users: decision.kind === 'value' ? decision.value : new Map(),
    ...always(around),
  }),
  interestedUsers: (decision, around) => ({
    users: decision.kind === 'value' ? decision.value : new Set(),
    ...always(around),
  }),
};

type Denied = Extract<Decision, { kind: 'denied' }>;

const always = ({ failures, observed }: Surroundings) => ({ failures, observed });
const allowed = ({ failures, observed }: Surroundings) => ({ allowed: true, failures, observed });
const denial = ({ cause, module, refusal }: Denied) => ({ cause, module, ...refusal });
const refused = (decision: Denied, around: Surroundings) => ({
  allowed: false,
  ...denial(decision),
  ...always(around),
});
