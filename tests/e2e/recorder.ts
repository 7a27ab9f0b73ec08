// The other end of fixtures/recorder.ts: tells it what to answer, and asks what it was asked. All of it over HTTP.

import type { CallbackName } from '@bulkhead/sdk/contract';
import { Client } from '../homeserver/client.ts';
import type { Answer, Call, SeenFile, SeenState } from './fixtures/recorder.ts';

export type { Call, SeenFile, SeenState };

const ROOT = '/_synapse/client/recorder';

export class RecorderClient {
  readonly #client: Client;

  constructor(url: string) {
    this.#client = new Client(url);
  }

  /** What the callbacks answer from now on; the calls so far are forgotten. */
  async answer(answers: { readonly [K in CallbackName]?: Answer | readonly Answer[] } = {}): Promise<void> {
    await this.#client.delete(ROOT);
    const lists = Object.entries(answers).map(([name, answer]) => [name, [answer].flat()]);
    await this.#client.post(`${ROOT}/answers`, Object.fromEntries(lists));
  }

  /** Calls in their order. */
  async calls(...names: readonly CallbackName[]): Promise<readonly Call[]> {
    const calls = await this.#client.get<Call[]>(`${ROOT}/calls`);
    return names.length === 0 ? calls : calls.filter(({ callback }) => names.some((name) => name === callback));
  }

  /** Arguments of a callback's calls. */
  async args(name: CallbackName): Promise<readonly (readonly unknown[])[]> {
    return (await this.calls(name)).map(({ args }) => args);
  }

  /** Who was asked, in order of the first time; the two that every request and every /sync ask are left out. */
  async asked(): Promise<readonly string[]> {
    return [...new Set((await this.calls()).map(({ callback }) => callback))].filter((name) => !USUAL.includes(name));
  }
}

const USUAL = ['isUserExpired', 'getInterestedUsers', 'getUsersForStates'];
