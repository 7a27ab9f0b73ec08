// Deadlines: one timer for all calls of a timeout, the host's own lag added once, nothing kept longer than it is needed.

import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { Call, type Question, type RawAnswer } from '../../packages/runtime/src/dispatch/call.ts';
import { Deadlines } from '../../packages/runtime/src/dispatch/deadline.ts';

interface Watched {
  readonly call: Call;
  readonly answers: RawAnswer[];
}

function makeCall(timeoutMs: number): Watched {
  const answers: RawAnswer[] = [];
  const question: Question = {
    callback: 'checkEventForSpam',
    callId: 'c1',
    live: new Map(),
    depth: 0,
    settled: (_, answer) => answers.push(answer),
  };
  const call = new Call(question, '', timeoutMs);
  return { call, answers };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(2);
}

const expire = (call: Call): void => call.fail('module_timeout', 'late');

/** Keeps the event loop busy, as a host does that has too much to do. */
function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** Two turns of the event loop: between them timers that are due ring. */
async function timersRing(): Promise<void> {
  await nextTurn();
  await nextTurn();
}

/** Timers of this process that would still ring. */
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

t.test('each call expires at its own deadline, whatever the order of their making', async (t) => {
  const expired: Call[] = [];
  const deadlines = new Deadlines((call) => {
    t.ok(performance.now() >= call.deadline, 'not before');
    expired.push(call);
  });
  const calls = [40, 20, 40, 60, 20].map((timeout) => makeCall(timeout).call);
  for (const call of calls) deadlines.watch(call);
  await until(() => expired.length === calls.length);
  t.strictSame(expired.map(({ timeoutMs }) => timeoutMs).toSorted(), [20, 20, 40, 40, 60]);
  t.equal(new Set(expired).size, calls.length, 'and each once');
});

t.test('a call that is settled does not expire, and only the first answer counts', async (t) => {
  const expired: Call[] = [];
  const deadlines = new Deadlines((call) => expired.push(call));
  const { call, answers } = makeCall(15);
  deadlines.watch(call);
  call.settle({ kind: 'nothing' });
  call.settle({ kind: 'value', text: 'true' });
  call.fail('crashed', 'late');
  await sleep(30);
  t.strictSame(expired, []);
  t.strictSame(answers, [{ kind: 'nothing' }]);
  const abandoned = makeCall(15);
  abandoned.call.abandon();
  abandoned.call.settle({ kind: 'nothing' });
  t.strictSame(abandoned.answers, []);
});

t.test('there is one timer for a timeout, not one for each call', async (t) => {
  const made = t.capture(globalThis, 'setTimeout', globalThis.setTimeout);
  const deadlines = new Deadlines(expire);
  const calls = Array.from({ length: 1000 }, () => makeCall(10_000).call);
  for (const call of calls) deadlines.watch(call);
  t.equal(made().length, 1);
  deadlines.watch(makeCall(20_000).call);
  t.equal(made().length, 1, 'another timeout, another timer');
  deadlines.close();
});

t.test('calls that are settled are let go long before their timeout', async (t) => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const deadlines = new Deadlines(expire);
  const kept: WeakRef<Call>[] = [];
  const unsettled = makeCall(60_000);
  deadlines.watch(unsettled.call);
  for (let i = 0; i < 5000; i++) {
    const { call } = makeCall(60_000);
    deadlines.watch(call);
    call.settle({ kind: 'nothing' });
    kept.push(new WeakRef(call));
  }
  await sleep(1);
  collectGarbage();
  t.ok(kept.filter((ref) => ref.deref() !== undefined).length < 10, 'although an earlier one is not');
  deadlines.close();
});

t.test('lag of the host extends a deadline, once', async (t) => {
  const deadlines = new Deadlines(expire);
  const { call, answers } = makeCall(150);
  deadlines.watch(call);
  block(500);
  await timersRing();
  t.strictSame(answers, [], 'the answer may be waiting to be read');
  t.ok(call.extended);
  t.ok(call.msLeft <= 150, 'by the timeout again at most');
  block(200);
  await timersRing();
  t.match(answers, [{ failure: 'module_timeout' }], 'once');
});

t.test('an answer that comes during the extension counts', async (t) => {
  const expired: Call[] = [];
  const deadlines = new Deadlines((call) => expired.push(call));
  const { call, answers } = makeCall(100);
  deadlines.watch(call);
  block(200);
  await timersRing();
  call.settle({ kind: 'nothing' });
  block(150);
  await timersRing();
  t.strictSame(answers, [{ kind: 'nothing' }]);
  t.strictSame(expired, []);
});

t.test('without lag there is no extension', async (t) => {
  const deadlines = new Deadlines(expire);
  const attempt = async (): Promise<boolean> => {
    const { call, answers } = makeCall(10);
    deadlines.watch(call);
    await until(() => answers.length > 0);
    return !call.extended;
  };
  // A machine that is busy with other tests may lag now and then.
  let punctual = false;
  for (let attempts = 0; attempts < 50 && !punctual; attempts++) punctual = await attempt();
  t.ok(punctual);
});

t.test('closed deadlines do not ring', async (t) => {
  const before = timers();
  const deadlines = new Deadlines(expire);
  const { call, answers } = makeCall(15);
  deadlines.watch(call);
  deadlines.close();
  await sleep(30);
  t.strictSame(answers, []);
  t.equal(timers(), before);
});
