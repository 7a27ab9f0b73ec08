// One question to one module, from the dispatcher taking it to its settling.

import type { CallbackName, FailureKind, MediaSource, StateLookup } from '@bulkhead/sdk/contract';
import type { Body } from '../wire/frame.js';
import type { Packed } from '../wire/packed.js';
import type { ThrownError } from '../wire/record.js';
import type { DeadlineLine } from './deadline.js';

/** What came of a call, before it is judged. `text` is JSON from a hostile cell. */
export type RawAnswer =
  | { readonly kind: 'value'; readonly text: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'threw'; readonly error: ThrownError }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly message: string };

/** What comes of what is no call: a short response may come whole. */
export type AskedAnswer = RawAnswer | ({ readonly kind: 'packed' } & Packed);

/** Arguments that stay on the host, by their position; the module asks for them through its call. */
export type LiveArg = { readonly state: StateLookup } | { readonly file: MediaSource };

/** What the calls of one fan-out have in common, in one object: a call costs little besides itself. */
export interface Question {
  readonly callback: CallbackName;
  readonly callId: string;
  readonly live: ReadonlyMap<number, LiveArg>;
  /** How deep in a chain of calls that modules caused; 0 for one that a client caused. */
  readonly depth: number;
  settled(call: Call, answer: RawAnswer, durationMs: number): void;
}

export class Call {
  readonly question: Question;
  readonly timeoutMs: number;
  /** Which of the modules that are asked it is for, as the question counts them. */
  readonly place: number;
  /** On the clock of `performance.now()`, as all times here. */
  readonly startedAt: number;
  /** Grows once, by the host's own lag. */
  deadline: number;
  /** JSON, serialised once for all modules of a fan-out that want the same; a promise while state is looked up for it. */
  body: Body | Promise<Body>;
  extended = false;
  /** 1, or 2 when it is repeated on a new cell. */
  attempt = 1;
  /** Its id on the channel that it was last sent on; 0 before. */
  recordId = 0;
  /** Where it waits for its deadline, and next to whom. */
  line: DeadlineLine | undefined;
  before: Call | undefined;
  behind: Call | undefined;
  #settled = false;

  constructor(
    question: Question,
    body: Body | Promise<Body>,
    timeoutMs: number,
    place = 0,
    startedAt = performance.now(),
  ) {
    this.question = question;
    this.body = body;
    this.timeoutMs = timeoutMs;
    this.place = place;
    this.startedAt = startedAt;
    this.deadline = startedAt + timeoutMs;
  }

  get isSettled(): boolean {
    return this.#settled;
  }

  get msLeft(): number {
    return this.msLeftAt(performance.now());
  }

  msLeftAt(now: number): number {
    return Math.max(0, this.deadline - now);
  }

  /** Only the first settling counts: an answer and a deadline may come in the same turn. */
  settle(answer: RawAnswer, now = performance.now()): void {
    if (this.#settled) return;
    this.abandon();
    this.question.settled(this, answer, now - this.startedAt);
  }

  /** Nobody waits any more: whatever comes is dropped. */
  abandon(): void {
    this.#settled = true;
    this.line?.remove(this);
  }

  fail(failure: FailureKind, message: string): void {
    this.settle({ kind: 'failed', failure, message });
  }
}
