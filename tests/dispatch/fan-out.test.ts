// What a fan-out does besides joining: whom it asks with what, whose time it spends, which questions it shares.

import type { Outcome } from '@bulkhead/sdk/contract';
import t from 'tap';
import { chain } from '../../packages/runtime/src/dispatch/dispatcher.ts';
import { dispatcherOf, FakeModule, movableClock, saying, turn } from './fakes.ts';
import { event, noState, rowScripts } from './rows.ts';

const pass = (id: string) => new FakeModule(id, { answer: () => saying(false) });

/** Answers whoever is asked, until nobody is. */
async function settleAll(modules: readonly FakeModule[]): Promise<void> {
  for (let next = modules[0]; next !== undefined; next = modules.find(({ pending }) => pending !== undefined)) {
    if (next.pending !== undefined) next.settle();
    await turn();
  }
}

t.test('with nobody registered every row has its outcome without a look at the arguments', async (t) => {
  const dispatcher = dispatcherOf([]);
  for (const { callback, args } of rowScripts) {
    const outcome = await dispatcher.dispatch(callback, args);
    t.match(outcome, { failures: [], observed: [] }, callback);
  }
  t.match(await dispatcher.dispatch('checkEventForSpam', ['nonsense']), { allowed: true });
  t.match(await dispatcher.dispatch('checkRegistrationForSpam', []), { behaviour: 'allow' });
  t.match(await dispatcher.dispatch('isUserExpired', []), { expired: null });
  t.match(await dispatcher.dispatch('onCreateRoom', [{}, { name: 'a' }, false]), { content: { name: 'a' } });
});

t.test('the arguments are serialised once for all modules', async (t) => {
  const modules = [pass('m1'), pass('m2'), pass('m3')];
  const outcome = dispatcherOf(modules).dispatch('checkEventForSpam', [event]);
  t.equal(new Set(modules.map(({ pending }) => pending?.body)).size, 1);
  await settleAll(modules);
  t.match(await outcome, { allowed: true });
});

t.test('absent arguments cross as null, and what a call carries besides stands apart', async (t) => {
  const module = new FakeModule('m1', { answer: () => saying('allow') });
  const outcome = dispatcherOf([module]).dispatch('checkRegistrationForSpam', [undefined, 'bob', [], undefined]);
  t.strictSame(module.body?.args, [null, 'bob', [], null]);
  module.settle();
  await outcome;

  const other = new FakeModule('m2', { answer: () => saying(true) });
  const options = { origin: 'federation', roomVersion: '11' };
  const allowed = dispatcherOf([other]).dispatch('checkEventAllowed', [event, noState, options]);
  t.match(other.body, { args: [event, null], ...options }, 'the state stays on the host');
  other.settle();
  await allowed;
});

t.test('a caller who has given up before asks nobody', async (t) => {
  const modules = [pass('m1'), new FakeModule('m2', { mode: 'observe' })];
  const outcome = await dispatcherOf(modules).dispatch('checkEventForSpam', [event, { signal: AbortSignal.abort() }]);
  t.match(outcome, { allowed: false, cause: 'failed', failures: [{ module: 'm1', kind: 'stopped' }] });
  t.ok(modules.every(({ asked }) => asked === 0));
});

t.test('observers are heard, and have no effect', async (t) => {
  const answers = {
    refuses: saying('no links'),
    fails: saying(42),
    allows: saying(false),
  };
  const observers = Object.entries(answers).map(
    ([id, answer]) => new FakeModule(id, { mode: 'observe', answer: () => answer }),
  );
  const module = pass('m1');
  const asking = dispatcherOf([...observers, module]).dispatch('checkEventForSpam', [event]);
  module.settle();
  const outcome: Outcome<'checkEventForSpam'> = await asking;
  t.match(outcome, { allowed: true, failures: [], observed: [] }, 'nobody waits for them');
  for (const observer of observers) observer.settle();
  t.match(outcome.observed, [
    { module: 'refuses', would: 'reject', detail: 'no links' },
    { module: 'fails', would: 'fail', detail: /expected a verdict, got 42/ },
    { module: 'allows', would: 'allow', detail: '' },
  ]);

  const banning = new FakeModule('bans', { mode: 'observe', answer: () => saying('shadow_ban') });
  const registration = await dispatcherOf([banning]).dispatch('checkRegistrationForSpam', [null, 'bob', [], null]);
  banning.settle();
  t.match(registration, { behaviour: 'allow', observed: [{ would: 'reject', detail: 'shadow_ban' }] });
});

t.test('what modules change of a room is theirs: the embedder keeps what he gave', async (t) => {
  const adds = (id: string) =>
    new FakeModule(id, { answer: ({ body }) => saying({ ...contentIn(body as Uint8Array), [id]: 1 }) });
  const modules = [adds('m1'), adds('m2')];
  const content = { name: 'room' };
  const requester = { userId: '@a:b', isGuest: false, shadowBanned: false, authenticatedEntity: '@a:b' };
  const outcome = dispatcherOf(modules).dispatch('onCreateRoom', [requester, content, false]);
  await settleAll(modules);
  t.match(await outcome, { allowed: true, content: { name: 'room', m1: 1, m2: 1 } });
  t.strictSame(modules[1]?.body?.args[1], { name: 'room', m1: 1 }, 'the second sees what the first made');
  t.strictSame(content, { name: 'room' });
});

const contentIn = (body: Uint8Array): object => JSON.parse(Buffer.from(body).toString()).args[1];

const late = { kind: 'failed', failure: 'module_timeout', message: 'late' } as const;

t.test('who cannot be asked because others used up the time is not to blame', async (t) => {
  const pass = movableClock(t);
  const modules = ['m1', 'm2', 'm3'].map(
    (id) => new FakeModule(id, { timeout: 1000, policy: 'allow', answer: () => late }),
  );
  const [m1, m2, m3] = modules as [FakeModule, FakeModule, FakeModule];
  const outcome = dispatcherOf(modules, 'sequential').dispatch('checkEventForSpam', [event]);
  pass(1000);
  m1.settle();
  pass(1000);
  m2.settle();
  t.match(await outcome, {
    allowed: true,
    failures: [
      { module: 'm1', kind: 'module_timeout' },
      { module: 'm2', kind: /_timeout/ },
      { module: 'm3', kind: 'queue_timeout' },
    ],
  });
  t.equal(m3.asked, 0, 'with nothing left of twice the largest timeout nobody is asked');
  t.strictSame(m3.judgements, ['queue_timeout']);
});

t.test('nor is who is given less than his own time', async (t) => {
  const pass = movableClock(t);
  const slow = new FakeModule('slow', { timeout: 1000, answer: () => saying(false) });
  const cut = new FakeModule('cut', { timeout: 1000, policy: 'allow', answer: () => late });
  const outcome = dispatcherOf([slow, cut], 'sequential').dispatch('checkEventForSpam', [event]);
  pass(1200);
  slow.settle();
  const given = cut.pending?.timeoutMs ?? 0;
  t.ok(given > 0 && given <= 800, 'the rest of the whole');
  cut.settle();
  t.match(await outcome, { failures: [{ module: 'cut', kind: 'queue_timeout' }] });
});

t.test('with an outcome at once nobody else is asked', async (t) => {
  const parked = new FakeModule('parked');
  parked.ask = (call) => call.fail('parked', 'not asked at present');
  const other = pass('m2');
  const outcome = await dispatcherOf([parked, other]).dispatch('checkEventForSpam', [event]);
  t.match(outcome, { allowed: false, module: 'parked' });
  t.equal(other.asked, 0);
});

t.test('concurrent questions after one user are one question', async (t) => {
  const module = new FakeModule('m1', { answer: () => saying(true) });
  const dispatcher = dispatcherOf([module]);
  const ask = (userId: string, ...options: object[]) => dispatcher.dispatch('isUserExpired', [userId, ...options]);

  const both = [ask('@a:example.org'), ask('@a:example.org')];
  t.equal(module.asked, 1);
  module.settle();
  t.match(await Promise.all(both), [{ expired: true }, { expired: true }]);
  await turn();
  void ask('@a:example.org');
  t.equal(module.asked, 2, 'an answer is not kept');
  module.settle();
  await turn();

  void ask('@b:example.org');
  void ask('@c:example.org');
  t.equal(module.asked, 4, 'other users are other questions');
});

t.test('nobody can settle what others asked by giving up', async (t) => {
  const module = new FakeModule('m1', { policy: 'allow', answer: () => saying(true) });
  const dispatcher = dispatcherOf([module]);
  const abort = new AbortController();
  const given = dispatcher.dispatch('isUserExpired', ['@a:example.org', { signal: abort.signal }]);
  const kept = dispatcher.dispatch('isUserExpired', ['@a:example.org']);
  const { pending } = module;
  abort.abort();
  t.match(await given, { expired: null, failures: [{ kind: 'stopped' }] });
  t.strictSame([...module.calls], [pending], 'the other question stands');
  module.settle();
  t.match(await kept, { expired: true });
});

t.test('a question that a module causes while it answers the same one is a question of its own', async (t) => {
  const module = new FakeModule('m1', { answer: () => saying(false) });
  const dispatcher = dispatcherOf([module]);
  const outer = dispatcher.dispatch('isUserExpired', ['@a:example.org']);
  const first = module.pending;
  const inner = chain.run(1, () => dispatcher.dispatch('isUserExpired', ['@a:example.org']));
  t.equal(module.asked, 2);
  t.equal(module.pending?.question.depth, 1);
  module.settle();
  t.match(await inner, { expired: false });
  first?.settle({ kind: 'nothing' });
  t.match(await outer, { expired: null });
});

t.test('settled() waits for what is under way', async (t) => {
  const module = pass('m1');
  const dispatcher = dispatcherOf([module]);
  void dispatcher.dispatch('checkEventForSpam', [event]);
  let settled = false;
  void dispatcher.settled().then(() => {
    settled = true;
  });
  await turn();
  t.notOk(settled);
  const later = new FakeModule('m2');
  void dispatcherOf([later]).dispatch('checkEventForSpam', [event]);
  void dispatcher.dispatch('checkEventForSpam', [event]);
  module.calls.values().next().value?.settle({ kind: 'nothing' });
  await turn();
  t.ok(settled, 'and not for what began since');
});
