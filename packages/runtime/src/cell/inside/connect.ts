// The cell's inner side begins here. It is bundled with the module and runs in its compartment, before it and without any
// power: a module that tampers with it hurts itself alone.

import { installConsole } from './console.js';
import { Loop } from './loop.js';
import { outbox } from './outbox.js';

/** `error`, where there is one, is asked for its stack by the bootstrap, which adds it to the JSON of the body. */
export type Send = (
  type: number,
  flags: number,
  id: number,
  aux: number,
  body?: string | Uint8Array,
  error?: unknown,
) => void;
export type Deliver = (type: number, flags: number, id: number, aux: number, body: string | Uint8Array) => void;
/** What the bundle evaluates to: given a way out, it gives the way in. */
export type Connect = (send: Send) => Deliver;

installConsole();

/** Called by the bundle's entry with the module's namespace. */
export function connect(module: Readonly<Record<string, unknown>>): Connect {
  return (send) => {
    outbox.open(send);
    const loop = new Loop(module);
    return (type, flags, id, aux, body) => loop.deliver(type, flags, id, aux, body);
  };
}
