// The few assertions that the checks need; they run in a compartment, where there is no node:assert.

export function equal(actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) throw new Error(`expected ${show(expected)}, got ${show(actual)}`);
}

export function deepEqual(actual: unknown, expected: unknown): void {
  equal(show(actual), show(expected));
}

export function ok(value: unknown, what = 'a true value'): void {
  if (!value) throw new Error(`expected ${what}`);
}

export function throws(run: () => unknown, name: string): void {
  let error: unknown;
  try {
    run();
  } catch (thrown) {
    error = thrown;
  }
  equal((error as Error | undefined)?.name, name);
}

export async function rejects(promise: Promise<unknown>, name: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  equal((error as Error | undefined)?.name, name);
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

function show(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
}
