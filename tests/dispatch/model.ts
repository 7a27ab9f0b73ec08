// What several modules together give, said once more and as simply as possible: callbacks.md in the form of a program that
// knows all answers beforehand. What the dispatcher does with time is derived from it: an outcome is settled as soon as
// no answer that may still come could make another one of it.

import type { FailureKind, JoinName } from '@bulkhead/sdk/contract';

/** One module's answer, as the join sees it. `value` means something to the row. */
export type Say =
  | { readonly say: 'pass' }
  | { readonly say: 'refuse' }
  | { readonly say: 'value'; readonly value: string }
  | { readonly say: 'fail'; readonly kind: FailureKind };

export interface ModelModule {
  readonly id: string;
  readonly policy: 'allow' | 'reject';
  readonly says: Say;
}

/** Everybody; in a union nothing can be added to it. */
export const ALL = 'ALL';

/** What the modules decide together, as a sentence. */
export function decide(join: JoinName, modules: readonly ModelModule[]): string {
  switch (join) {
    case 'notify':
      return 'told';
    case 'union': {
      const values = modules.flatMap(({ says }) => (says.say === 'value' ? [says.value] : []));
      return values.includes(ALL) ? ALL : [...new Set(values)].sort().join();
    }
    case 'waterfall':
      return (
        denial(modules) ??
        `made by ${modules.flatMap(({ id, says }) => (says.say === 'value' ? [id] : [])).join(', then ')}`
      );
    default: {
      const first = modules.find((module) => module.says.say === 'value' || denial([module]) !== undefined);
      if (first === undefined) return 'allowed';
      return first.says.say === 'value' ? `${first.says.value} by ${first.id}` : (denial([first]) as string);
    }
  }
}

function denial(modules: readonly ModelModule[]): string | undefined {
  for (const { id, policy, says } of modules) {
    if (says.say === 'refuse') return `refused by ${id}`;
    if (says.say === 'fail' && policy === 'reject') return `failed, ${id}`;
  }
  return undefined;
}

/** Whether the outcome is known when only some modules have answered: every way in which the rest may answer gives it. */
export function isSettled(
  join: JoinName,
  modules: readonly ModelModule[],
  answered: ReadonlySet<string>,
  possible: readonly Say[],
): boolean {
  const open = modules.findIndex(({ id }) => !answered.has(id));
  if (open < 0) return true;
  // All are to be told, whatever they say.
  if (join === 'notify') return false;
  const outcomes = new Set(completions(modules, answered, possible).map((complete) => decide(join, complete)));
  return outcomes.size === 1;
}

function completions(
  modules: readonly ModelModule[],
  answered: ReadonlySet<string>,
  possible: readonly Say[],
): readonly (readonly ModelModule[])[] {
  return modules.reduce<readonly (readonly ModelModule[])[]>(
    (soFar, module) => {
      const says = answered.has(module.id) ? [module.says] : possible;
      return soFar.flatMap((made) => says.map((say) => [...made, { ...module, says: say }]));
    },
    [[]],
  );
}
