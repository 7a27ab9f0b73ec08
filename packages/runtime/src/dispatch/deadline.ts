// Deadlines without a timer for each: calls with the same timeout expire in the order in which they were made, so one queue
// and one timer for each timeout in use is enough.

import type { Call } from './call.js';

/** Lag below this is ordinary scheduling and earns no extension. */
const LAG_MS = 5;

interface Queue {
  readonly calls: Call[];
  /** Index of the first call that has not expired; the array is cut when half of it is behind. */
  head: number;
  timer: NodeJS.Timeout | undefined;
}

export class Deadlines {
  readonly #queues = new Map<number, Queue>();
  readonly #expired: (call: Call) => void;

  constructor(expired: (call: Call) => void) {
    this.#expired = expired;
  }

  watch(call: Call): void {
    const { timeoutMs } = call.request;
    let queue = this.#queues.get(timeoutMs);
    if (queue === undefined) {
      queue = { calls: [], head: 0, timer: undefined };
      this.#queues.set(timeoutMs, queue);
    }
    // What is settled at the front is let go now, not when the timer rings: a call holds its body.
    this.#firstLive(queue);
    queue.calls.push(call);
    this.#arm(timeoutMs, queue);
  }

  close(): void {
    for (const { timer } of this.#queues.values()) clearTimeout(timer);
    this.#queues.clear();
  }

  #arm(timeoutMs: number, queue: Queue): void {
    if (queue.timer !== undefined) return;
    const first = this.#firstLive(queue);
    if (first === undefined) {
      this.#queues.delete(timeoutMs);
      return;
    }
    queue.timer = setTimeout(() => this.#ring(timeoutMs, queue), Math.ceil(first.msLeft));
    queue.timer.unref();
  }

  #ring(timeoutMs: number, queue: Queue): void {
    queue.timer = undefined;
    const now = performance.now();
    const late: Call[] = [];
    for (
      let first = this.#firstLive(queue);
      first !== undefined && first.deadline <= now;
      first = this.#firstLive(queue)
    ) {
      queue.head++;
      const lag = now - first.deadline;
      if (lag > LAG_MS) {
        // The host was busy: the answer may be waiting to be read. As much time again as was lost, once.
        first.extended = true;
        first.deadline = now + Math.min(lag, timeoutMs);
        late.push(first);
      } else {
        this.#expired(first);
      }
    }
    for (const call of late) this.#extend(call);
    this.#arm(timeoutMs, queue);
  }

  #extend(call: Call): void {
    setTimeout(() => {
      if (!call.isSettled) this.#expired(call);
    }, Math.ceil(call.msLeft)).unref();
  }

  #firstLive(queue: Queue): Call | undefined {
    while (queue.head < queue.calls.length && queue.calls[queue.head]?.isSettled) queue.head++;
    if (queue.head > 1024 && queue.head * 2 > queue.calls.length) {
      queue.calls.splice(0, queue.head);
      queue.head = 0;
    }
    return queue.calls[queue.head];
  }
}
