// How many cases there are, and how a failure shows. A failing case is shrunk; its seed and path, given to `fc.assert`,
// bring it back.

import fc from 'fast-check';
import type { Test } from 'tap';

/** Cases of each file. `FUZZ_RUNS=100000 npx tap run fuzz/*.test.ts` looks longer. */
export const RUNS = Number(process.env.FUZZ_RUNS ?? 10_000);

fc.configureGlobal({ numRuns: RUNS });
// Most cases end in an error, and nobody reads its stack.
Error.stackTraceLimit = 0;

/** Runs a property; tap shows what fast-check says of the case that fails: its seed, its path, and the case itself. */
export async function holds<T>(
  t: Test,
  property: fc.IProperty<T> | fc.IAsyncProperty<T>,
  parameters: fc.Parameters<T> = {},
): Promise<void> {
  try {
    await fc.assert(property as fc.IAsyncProperty<T>, parameters);
    t.pass(`${parameters.numRuns ?? RUNS} cases`);
  } catch (error) {
    const { message, cause } = error as Error;
    t.fail(`${message}\n${cause}`);
  }
}

const WATCHED = [Object, Array, Function, Promise, String, Number, Map, Set, RegExp, Error].map((each) => [
  each,
  each.prototype,
]);

/** What stands on the objects that an attack on prototypes would change. */
export function prototypes(): { readonly unchanged: () => boolean; readonly touched: () => readonly string[] } {
  const watched = WATCHED.flat();
  const before = watched.map((object) => Object.getOwnPropertyDescriptors(object));
  const likely = [Object.prototype, Array.prototype, Function.prototype, Object];
  const counts = likely.map((object) => Object.getOwnPropertyNames(object).length);
  return {
    /** Quick: whether something was added. */
    unchanged: () => likely.every((object, index) => Object.getOwnPropertyNames(object).length === counts[index]),
    touched: () =>
      watched.flatMap((object, index) => {
        const now = Object.getOwnPropertyDescriptors(object) as Record<PropertyKey, PropertyDescriptor>;
        const then = before[index] as Record<PropertyKey, PropertyDescriptor>;
        return [...new Set([...Reflect.ownKeys(now), ...Reflect.ownKeys(then)])]
          .filter((key) => !Object.is(now[key]?.value, then[key]?.value) || now[key]?.get !== then[key]?.get)
          .map(String);
      }),
  };
}
