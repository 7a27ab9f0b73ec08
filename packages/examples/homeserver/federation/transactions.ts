// What other servers send: each transaction is taken once, however often it comes.

import { createHash } from 'node:crypto';
import type { Logger } from '@bulkhead/runtime';
import { limitExceeded, MatrixError, RefusedByModule } from '../errors.js';
import { readPdu } from './incoming-pdu.js';
import type { Outbox } from './outbox.js';
import type { Receiver } from './receiver.js';

/** By event id. */
export type Results = Readonly<Record<string, { readonly error?: string }>>;

const MAX_REMEMBERED = 1000;
const MAX_AT_ONCE = 4;
const RETRY_MS = 1000;
/** Other servers may answer slowly what this one asks about an event. */
const MAX_MS = 50_000;

export class Transactions {
  readonly #receiver: Receiver;
  readonly #outbox: Outbox;
  readonly #logger: Logger;
  readonly #results = new Map<string, Promise<Results>>();
  readonly #underWay = new Map<string, number>();

  constructor(receiver: Receiver, outbox: Outbox, logger: Logger) {
    this.#receiver = receiver;
    this.#outbox = outbox;
    this.#logger = logger;
  }

  take(origin: string, transactionId: string, pdus: readonly unknown[]): Promise<Results> {
    const key = createHash('sha256').update(`${origin}\0${transactionId}`).digest('base64');
    const known = this.#results.get(key);
    if (known) return known;
    const underWay = this.#underWay.get(origin) ?? 0;
    if (underWay >= MAX_AT_ONCE) throw limitExceeded(RETRY_MS);
    this.#underWay.set(origin, underWay + 1);
    const results = this.#takeAll(origin, pdus).finally(() => this.#done(origin));
    this.#results.set(key, results);
    // One that came to nothing may come again.
    results.catch(() => this.#results.delete(key));
    const [oldest] = this.#results.keys();
    if (this.#results.size > MAX_REMEMBERED && oldest !== undefined) this.#results.delete(oldest);
    this.#outbox.heardFrom(origin);
    return results;
  }

  #done(origin: string): void {
    const left = (this.#underWay.get(origin) ?? 1) - 1;
    if (left === 0) this.#underWay.delete(origin);
    else this.#underWay.set(origin, left);
  }

  async #takeAll(origin: string, pdus: readonly unknown[]): Promise<Results> {
    const results = new Map<string, { error?: string }>();
    const deadline = performance.now() + MAX_MS;
    for (const raw of pdus) {
      const eventId = idOf(raw);
      // What is left out is asked for when something comes after it.
      if (eventId !== undefined && performance.now() > deadline) results.set(eventId, { error: 'There was no time' });
      else if (eventId !== undefined) results.set(eventId, await this.#takeOne(origin, raw, eventId));
    }
    return Object.fromEntries(results);
  }

  /** Why an event is not accepted is told to the other server; that it is not shown is not. */
  async #takeOne(origin: string, raw: unknown, eventId: string): Promise<{ error?: string }> {
    try {
      const receipt = await this.#receiver.receive(origin, raw);
      return receipt.outcome === 'rejected' ? { error: receipt.reason.message } : {};
    } catch (error) {
      this.#logger.info({ err: error, origin, eventId }, 'An event from another server is not taken');
      const isAnswer = error instanceof MatrixError || error instanceof RefusedByModule;
      return { error: isAnswer ? error.message : 'Internal server error' };
    }
  }
}

function idOf(raw: unknown): string | undefined {
  try {
    return readPdu(raw).eventId;
  } catch {
    // What has no id cannot be answered for.
    return undefined;
  }
}
