// The host's end of Comlink. Its own `expose` walks any property path that the other side names and lets it set values, so
// nothing reaches it here but a call of one known method with plain arguments; anything else ends the cell.

import { type Endpoint, expose } from 'comlink';
import * as v from 'valibot';
import { layers } from '../layers.js';
import type { ApiMethods } from './server.js';

export interface GuardedApi {
  /** Takes one message from the cell. @throws ProtocolViolation-worthy errors for anything but an allowed call */
  receive(message: unknown): void;
}

const Raw = v.object({ type: v.literal('RAW'), value: v.optional(v.unknown()) });

/** A message of Comlink's that may pass. `HANDLER` arguments would throw outside Comlink's own try and end the host. */
const Apply = v.object({
  id: v.pipe(v.string(), v.maxLength(100)),
  type: v.literal('APPLY'),
  path: v.pipe(v.array(v.string()), v.length(1)),
  argumentList: v.pipe(v.array(Raw), v.maxLength(8)),
});

export function exposeGuarded(methods: ApiMethods, post: (message: string) => void): GuardedApi {
  let listener: ((event: object) => void) | undefined;
  const endpoint = {
    postMessage: (message: unknown) => post(JSON.stringify(message)),
    addEventListener: (_: string, added: unknown) => {
      listener = added as (event: object) => void;
    },
    removeEventListener: () => {},
  };
  expose(methods, endpoint as Endpoint);
  return {
    receive(message) {
      if (!layers.has('comlink_guard')) {
        listener?.({ data: message as object, origin: '' } as object);
        return;
      }
      const call = v.parse(Apply, message);
      if (!Object.hasOwn(methods, call.path[0] as string)) throw new TypeError(`no method ${call.path[0]}`);
      listener?.({ data: call, origin: '' });
    },
  };
}
