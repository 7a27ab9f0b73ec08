// The way to the host's end of the ModuleApi, which is Comlink's: its messages over the records of one type. Comlink's own
// client would make a proxy and four random numbers for each call, which is a third of what a call costs a cell.

import { ApiError, type ApiErrorCode } from '@bulkhead/sdk/contract';
import { type ApiResult, RecordType } from '../../wire/record.js';
import { outbox } from './outbox.js';

/** As Comlink says it: what a method returned is `RAW`. */
interface Returned {
  readonly id: string;
  readonly type: string;
  readonly value?: unknown;
}

export class Remote {
  readonly #waiting = new Map<string, (returned: Returned) => void>();
  #lastId = 0;

  receive(returned: Returned): void {
    this.#waiting.get(returned.id)?.(returned);
    this.#waiting.delete(returned.id);
  }

  /** @throws ApiError */
  async call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    const { type, value } = await this.#apply(method, args);
    if (type !== 'RAW') throw new ApiError('HomeserverError', `${method} failed`);
    const result = value as ApiResult;
    if (result.ok) return result.value as T;
    throw new ApiError(result.code as ApiErrorCode, result.message, result.errcode);
  }

  #apply(method: string, args: readonly unknown[]): Promise<Returned> {
    const id = String(++this.#lastId);
    const argumentList = args.map((value) => ({ type: 'RAW', value }));
    // What cannot be said is the caller's error, and then nobody waits.
    const message = JSON.stringify({ id, type: 'APPLY', path: [method], argumentList });
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      outbox.send(RecordType.api, 0, 0, 0, message);
    });
  }
}
