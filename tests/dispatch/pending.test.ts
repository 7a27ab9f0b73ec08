// The table of pending calls behaves as a Map by ids, whatever is added, answered and left waiting.

import fc from 'fast-check';
import t from 'tap';
import type { Call } from '../../packages/runtime/src/dispatch/call.ts';
import { PendingCalls } from '../../packages/runtime/src/dispatch/pending.ts';

const callOf = (recordId: number, depth: number): Call => ({ recordId, question: { depth } }) as unknown as Call;

/** How many are added, and which of those that wait are answered then, by shares of the line. */
const step = fc.record({
  add: fc.integer({ min: 0, max: 200 }),
  depth: fc.nat(3),
  answer: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 220 }),
});

t.test('as a Map does', async (t) => {
  const property = fc.property(fc.nat(0xffff_fff0), fc.array(step, { maxLength: 20 }), (firstId, steps) => {
    const table = new PendingCalls();
    const known = new Map<number, Call>();
    let lastId = firstId;
    for (const { add, depth, answer } of steps) {
      for (let count = 0; count < add; count++) {
        const call = callOf(++lastId >>> 0, depth);
        known.set(call.recordId, call);
        table.add(call);
      }
      const waiting = [...known.values()];
      for (const share of answer) {
        const call = waiting[Math.floor(share * waiting.length)];
        if (call === undefined) continue;
        // Answered a second time it is nobody's.
        table.delete(call);
        known.delete(call.recordId);
      }
      const ids = [...waiting.map(({ recordId }) => recordId), lastId + 1, 0];
      if (ids.some((id) => table.get(id) !== known.get(id))) return false;
      const deepest = Math.max(0, ...[...known.values()].map(({ question }) => question.depth));
      if (table.size !== known.size || table.deepest !== deepest) return false;
    }
    const all = [...known.values()].sort((a, b) => a.recordId - b.recordId);
    const taken = table.takeAll();
    return taken.length === all.length && taken.every((call, index) => call === all[index]) && table.size === 0;
  });
  t.doesNotThrow(() => fc.assert(property, { numRuns: 300 }));
});

t.test('one that is never answered does not make it grow', (t) => {
  const table = new PendingCalls();
  const late = callOf(1, 0);
  table.add(late);
  for (let id = 2; id < 100_000; id++) {
    const call = callOf(id, 0);
    table.add(call);
    table.delete(call);
  }
  t.equal(table.get(1), late);
  t.equal(table.size, 1);
  t.end();
});
