// The state of a room at one moment, as the authorisation rules and the modules look at it.

import type { StateLookup } from '@bulkhead/sdk/contract';
import { membershipOf, type RoomEvent } from './event.js';

export type StateKey = readonly [type: string, stateKey: string];

/** Never changes once it is made: what is stored meanwhile is not in it. */
export interface StateView extends StateLookup {
  get(type: string, stateKey: string): Promise<RoomEvent | undefined>;
  list(type: string, limit?: number): Promise<readonly RoomEvent[]>;
  entries(): AsyncIterable<RoomEvent>;
  /** Several at once; what there is of them. */
  getAll(keys: readonly StateKey[]): Promise<readonly RoomEvent[]>;
}

/** `undefined` for who has nothing to do with the room. */
export async function membershipIn(state: StateView, userId: string): Promise<string | undefined> {
  const member = await state.get('m.room.member', userId);
  return member && membershipOf(member);
}

/** The state of a room that is being made and is not stored yet. */
export class DraftState implements StateView {
  readonly #events: ReadonlyMap<string, RoomEvent>;

  constructor(events: Iterable<RoomEvent> = []) {
    this.#events = new Map([...events].map((event) => [keyOf(event.type, event.state_key ?? ''), event]));
  }

  with(event: RoomEvent): DraftState {
    return new DraftState([...this.#events.values(), event]);
  }

  async get(type: string, stateKey: string) {
    return this.#events.get(keyOf(type, stateKey));
  }

  async list(type: string) {
    return [...this.#events.values()].filter((event) => event.type === type);
  }

  async *entries() {
    yield* this.#events.values();
  }

  async getAll(keys: readonly StateKey[]) {
    return keys
      .map(([type, stateKey]) => this.#events.get(keyOf(type, stateKey)))
      .filter((event) => event !== undefined);
  }
}

/** A type cannot contain NUL, so no two keys meet. */
export const keyOf = (type: string, stateKey: string) => `${type}\0${stateKey}`;
