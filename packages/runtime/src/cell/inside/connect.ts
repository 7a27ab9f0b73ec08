// The cell's inner side begins here. It runs in the module's compartment, before it and without any power: a module that
// tampers with it hurts itself alone.

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
/** What the module exports, as its script evaluates to it. */
export type Namespace = Readonly<Record<string, unknown>>;
/** @returns the way in */
export type Attach = (module: Namespace) => Deliver;
/** What the bootstrap can do that nobody in the compartment can, and that gives no power. */
export interface Helpers {
  /** The bytes of a response whose body is no stream and not longer than that; it counts as read then. */
  takeBytes(response: Response, most: number): Uint8Array<ArrayBuffer> | undefined;
}
/** What the inside's script evaluates to. */
export type Connect = (send: Send, helpers: Helpers) => Attach;

export const connect: Connect = (send, helpers) => {
  outbox.open(send);
  installConsole();
  return (module) => {
    const loop = new Loop(module, helpers);
    return (type, flags, id, aux, body) => loop.deliver(type, flags, id, aux, body);
  };
};
