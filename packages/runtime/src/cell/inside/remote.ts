// The way to the host's end of the ModuleApi: Comlink over the records of one type.

import { ApiError, type ApiErrorCode } from '@bulkhead/sdk/contract';
import { type Endpoint, wrap } from 'comlink';
import { type ApiResult, RecordType } from '../../wire/record.js';
import { outbox } from './outbox.js';

type Listener = (event: { readonly data: unknown }) => void;
type Proxy = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>;

export class Remote {
  readonly #listeners = new Set<Listener>();
  readonly #proxy: Proxy;

  constructor() {
    const endpoint = {
      postMessage: (message: unknown) => outbox.send(RecordType.api, 0, 0, 0, JSON.stringify(message)),
      addEventListener: (_: string, listener: unknown) => void this.#listeners.add(listener as Listener),
      removeEventListener: (_: string, listener: unknown) => void this.#listeners.delete(listener as Listener),
    };
    this.#proxy = wrap(endpoint as Endpoint) as unknown as Proxy;
  }

  receive(data: unknown): void {
    for (const listener of this.#listeners) listener({ data });
  }

  /** @throws ApiError */
  async call<T>(method: string, ...args: readonly unknown[]): Promise<T> {
    const invoke = this.#proxy[method] as (...args: readonly unknown[]) => Promise<unknown>;
    const result = (await invoke(...args)) as ApiResult;
    if (result.ok) return result.value as T;
    throw new ApiError(result.code as ApiErrorCode, result.message, result.errcode);
  }
}
