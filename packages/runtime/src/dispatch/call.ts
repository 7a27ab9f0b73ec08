// One question to one module, from the dispatcher taking it to its settling.

import type { CallbackName, FailureKind, MediaSource, StateLookup } from '@bulkhead/sdk/contract';
import type { ThrownError } from '../wire/record.js';

/** What came of a call, before it is judged. `text` is JSON from a hostile cell. */
export type RawAnswer =
  | { readonly kind: 'value'; readonly text: string }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'threw'; readonly error: ThrownError }
  | { readonly kind: 'failed'; readonly failure: FailureKind; readonly message: string };

/** Arguments that stay on the host, by their position; the module asks for them through its call. */
export type LiveArg = { readonly state: StateLookup } | { readonly file: MediaSource };

export interface CallRequest {
  readonly callback: CallbackName;
  readonly callId: string;
  /** Serialised once for all modules of a fan-out that want the same; a promise while state is being looked up for it. */
  readonly body: Uint8Array | Promise<Uint8Array>;
  readonly live: ReadonlyMap<number, LiveArg>;
  readonly timeoutMs: number;
  /** How deep in a chain of calls that modules caused; 0 for one that a client caused. */
  readonly depth: number;
  readonly settled: (answer: RawAnswer, durationMs: number) => void;
}

export class Call {
  readonly request: CallRequest;
  readonly startedAt = performance.now();
  /** On the clock of `performance.now()`. Grows once, by the host's own lag. */
  deadline: number;
  /** There when the call can be sent. */
  body: Uint8Array | undefined;
  extended = false;
  /** 1, or 2 when it is repeated on a new cell. */
  attempt = 1;
  /** Its id on the channel that it was last sent on; 0 before. */
  recordId = 0;
  sentAt = 0;
  #settled = false;

  constructor(request: CallRequest) {
    this.request = request;
    this.deadline = this.startedAt + request.timeoutMs;
    if (request.body instanceof Uint8Array) this.body = request.body;
  }

  get isSettled(): boolean {
    return this.#settled;
  }

  get msLeft(): number {
    return Math.max(0, this.deadline - performance.now());
  }

  /** Only the first settling counts: an answer and a deadline may come in the same turn. */
  settle(answer: RawAnswer): void {
    if (this.#settled) return;
    this.#settled = true;
    this.request.settled(answer, performance.now() - this.startedAt);
  }

  /** Nobody waits any more: whatever comes is dropped. */
  abandon(): void {
    this.#settled = true;
  }

  fail(failure: FailureKind, message: string): void {
    this.settle({ kind: 'failed', failure, message });
  }
}
