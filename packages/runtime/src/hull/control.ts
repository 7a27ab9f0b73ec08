// What host and hull say to each other over the control pipe: one JSON object a line.

import * as v from 'valibot';
import { MOST_UNSENT } from '../cell/task.js';

export type HullCommand =
  | {
      readonly command: 'open';
      readonly slot: number;
      readonly memory: number;
      readonly isolation: 'compartment' | 'thread';
    }
  | { readonly command: 'kill'; readonly slot: number };

const uint = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const Marks = v.strictObject({
  begun: uint,
  current: uint,
  unsent: v.pipe(v.array(uint), v.maxLength(MOST_UNSENT), v.readonly()),
});

/** The host's view of it: a module that got as far as the hull's main thread could write here. */
export const HullReport = v.variant('report', [
  v.strictObject({ report: v.literal('up') }),
  v.strictObject({
    report: v.literal('ended'),
    slot: uint,
    marks: Marks,
    cause: v.pipe(v.string(), v.maxLength(1000)),
    excess: v.optional(uint),
  }),
  /** The cells whose threads were busy without a pause, and what each is doing. */
  v.strictObject({ report: v.literal('busy'), cells: v.array(v.strictObject({ slot: uint, marks: Marks })) }),
  /** The share of the last second in which each thread was busy. */
  v.strictObject({ report: v.literal('usage'), cells: v.array(v.strictObject({ slot: uint, cpu: v.number() })) }),
]);
export type HullReport = v.InferOutput<typeof HullReport>;

/** The descriptor of the control pipe; the cells' pairs follow. */
export const CONTROL_FD = 3;

/** Cuts text into lines. @throws RangeError when a line grows beyond the limit */
export function lineReader(limit: number, receive: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    if (rest.length > limit) throw new RangeError(`a line of more than ${limit} characters`);
    for (const line of lines) receive(line);
  };
}
