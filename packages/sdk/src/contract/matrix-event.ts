// The object that a module is given for an event. Apart from the schemas, so that a cell does not load those.

import type { EventData, EventDict, MatrixEvent } from './event.js';

/** Makes the object that a module is given out of an event's data, which it takes as its own. */
export function createMatrixEvent(data: EventData): MatrixEvent {
  // Whoever sent the event must not answer in place of the helpers.
  for (const name of HELPERS) if (Object.hasOwn(data, name)) delete (data as Record<string, unknown>)[name];
  return { __proto__: eventHelpers, ...data } as unknown as MatrixEvent;
}

const eventHelpers = {
  isState(this: EventData) {
    return this.state_key !== undefined;
  },
  get membership(): string | undefined {
    const { type, content } = this as unknown as EventData;
    return type === 'm.room.member' && typeof content.membership === 'string' ? content.membership : undefined;
  },
  getDict(this: EventData) {
    return JSON.parse(JSON.stringify(this)) as EventDict;
  },
};

const HELPERS = Object.keys(eventHelpers);
