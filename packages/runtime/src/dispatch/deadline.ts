// Deadlines without a timer for each: calls with the same timeout expire in the order in which they were made, so one line
// and one timer for each timeout in use is enough. A line is a list through the calls themselves: who is settled leaves it,
// whoever stands before him.

import type { Call } from './call.js';

/** Lag below this is ordinary scheduling and earns no extension. */
const LAG_MS = 5;

export class Deadlines {
  readonly #lines = new Map<number, DeadlineLine>();
  readonly #expired: (call: Call) => void;

  constructor(expired: (call: Call) => void) {
    this.#expired = expired;
  }

  watch(call: Call): void {
    const { timeoutMs } = call;
    let line = this.#lines.get(timeoutMs);
    if (line === undefined) {
      line = new DeadlineLine();
      this.#lines.set(timeoutMs, line);
    }
    line.add(call);
    this.#arm(timeoutMs, line);
  }

  close(): void {
    for (const { timer } of this.#lines.values()) clearTimeout(timer);
    this.#lines.clear();
  }

  #arm(timeoutMs: number, line: DeadlineLine): void {
    if (line.timer !== undefined) return;
    if (line.first === undefined) {
      this.#lines.delete(timeoutMs);
      return;
    }
    line.timer = setTimeout(() => this.#ring(timeoutMs, line), Math.ceil(line.first.msLeft));
    line.timer.unref();
  }

  #ring(timeoutMs: number, line: DeadlineLine): void {
    line.timer = undefined;
    const now = performance.now();
    const late: Call[] = [];
    for (let { first } = line; first !== undefined && first.deadline <= now; first = line.first) {
      line.remove(first);
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
    this.#arm(timeoutMs, line);
  }

  #extend(call: Call): void {
    setTimeout(() => {
      if (!call.isSettled) this.#expired(call);
    }, Math.ceil(call.msLeft)).unref();
  }
}

/** Calls in the order of their deadlines. */
export class DeadlineLine {
  timer: NodeJS.Timeout | undefined;
  #first: Call | undefined;
  #last: Call | undefined;

  get first(): Call | undefined {
    return this.#first;
  }

  add(call: Call): void {
    call.line = this;
    call.before = this.#last;
    if (this.#last === undefined) this.#first = call;
    else this.#last.behind = call;
    this.#last = call;
  }

  remove(call: Call): void {
    const { before, behind } = call;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    call.line = undefined;
    call.before = undefined;
    call.behind = undefined;
  }
}
