// Turns on the thread pool. All cells of a hull share its four threads, so one cell may hold no more than two of them.

const MOST_AT_ONCE = 2;
const MOST_WAITING = 1000;

let running = 0;
const waiting: (() => void)[] = [];

/** Runs the work when it is this cell's turn. @throws RangeError when too much is waiting already. */
export async function inPool<T>(work: () => Promise<T>): Promise<T> {
  if (running < MOST_AT_ONCE) running += 1;
  else await turn();
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

function turn(): Promise<void> {
  if (waiting.length >= MOST_WAITING) throw new RangeError('too many operations are waiting');
  return new Promise((resolve) => {
    waiting.push(resolve);
  });
}
