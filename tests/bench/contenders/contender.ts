// What all contenders have in common: they are asked whether an event is spam.

import type { EventData } from '@bulkhead/sdk/contract';

export interface Contender {
  ask(event: EventData): Promise<boolean>;
  close(): Promise<void>;
}

export interface Entry {
  readonly name: string;
  /** What it is, for the page. */
  readonly what: string;
  /** It answers one after another alone: what only echoes has no ids. */
  readonly lone?: boolean;
  /** @throws when this Node does not have what it needs */
  readonly start: () => Promise<Contender>;
}

/** Questions by id, for those whose transport has none of its own. */
export class Pending {
  readonly #waiting = new Map<number, (spam: boolean) => void>();
  #lastId = 0;

  ask(send: (id: number) => void): Promise<boolean> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      send(id);
    });
  }

  answer(id: number, spam: boolean): void {
    this.#waiting.get(id)?.(spam);
    this.#waiting.delete(id);
  }
}

export const worker = (name: string): URL => new URL(`../workers/${name}`, import.meta.url);
