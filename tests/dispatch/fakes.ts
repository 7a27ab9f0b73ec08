// Modules that are no cells: each says what the test gave it, when the test tells it to.

import type { CallbackName, FailurePolicy } from '@bulkhead/sdk/contract';
import type { Test } from 'tap';
import type { Call, RawAnswer } from '../../packages/runtime/src/dispatch/call.ts';
import { type Askable, Dispatcher } from '../../packages/runtime/src/dispatch/dispatcher.ts';

export interface FakeOptions {
  readonly mode?: 'enforce' | 'observe';
  readonly policy?: FailurePolicy | 'skip';
  readonly timeout?: number;
  readonly answer?: (call: Call) => RawAnswer;
}

export class FakeModule implements Askable {
  readonly id: string;
  readonly mode: 'enforce' | 'observe';
  readonly judgements: string[] = [];
  readonly warnings: string[] = [];
  /** The calls that were asked and not answered yet. */
  readonly calls = new Set<Call>();
  readonly stateTypes: readonly string[] = [];
  asked = 0;
  cancelled = 0;
  /** What it was asked, parsed. */
  body: { readonly args: readonly unknown[]; readonly callId: string } | undefined;
  readonly #options: FakeOptions;

  constructor(id: string, options: FakeOptions = {}) {
    this.id = id;
    this.mode = options.mode ?? 'enforce';
    this.#options = options;
  }

  /** The last of those. */
  get pending(): Call | undefined {
    return [...this.calls].at(-1);
  }

  timeoutOf = (): number => this.#options.timeout ?? 1000;
  policyOf = (): FailurePolicy | 'skip' => this.#options.policy ?? 'reject';
  resultLimitOf = (): number => RESULT_LIMIT;

  ask(call: Call): void {
    this.asked++;
    this.calls.add(call);
    this.body = JSON.parse(Buffer.from(call.body as Uint8Array).toString());
  }

  cancel(call: Call): void {
    if (!this.calls.delete(call)) throw new Error(`${this.id} was cancelled without being asked`);
    this.cancelled++;
    call.abandon();
  }

  judged(_: CallbackName, result: string): void {
    this.judgements.push(result);
  }

  warn(_: CallbackName, message: string): void {
    this.warnings.push(message);
  }

  settle(): void {
    const call = this.pending as Call;
    this.calls.delete(call);
    call.settle(this.#options.answer?.(call) ?? { kind: 'nothing' });
  }
}

/** Lets the test move the clock of `performance.now()` on, by milliseconds, until its end. */
export function movableClock(t: Pick<Test, 'teardown'>): (ms: number) => void {
  const now = performance.now.bind(performance);
  let ahead = 0;
  performance.now = () => now() + ahead;
  t.teardown(() => {
    performance.now = now;
  });
  return (ms) => {
    ahead += ms;
  };
}

export const RESULT_LIMIT = 2000;

export type FanOut = 'parallel' | 'sequential';

export function dispatcherOf(modules: readonly FakeModule[], fanOut: FanOut = 'parallel'): Dispatcher {
  return new Dispatcher({ serverName: 'example.org', registered: () => modules, fanOutOf: () => fanOut });
}

/** Long enough for every promise that is settled already to be heard of. */
export async function turn(): Promise<void> {
  for (let i = 0; i < 10; i++) await null;
}

export const saying = (value: unknown): RawAnswer => ({ kind: 'value', text: JSON.stringify(value) });
