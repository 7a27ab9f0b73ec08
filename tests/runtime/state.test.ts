// State of a room: looked up when a module asks, and before it does where it said that it always wants it.

import type { EventData, StateLookup } from '@bulkhead/sdk/contract';
import t from 'tap';
import { event, problemsOf, type Running, start } from './harness.ts';

const stateEvent = (type: string, stateKey: string, content: EventData['content'] = {}): EventData => ({
  ...event('allow'),
  type,
  state_key: stateKey,
  content,
});

/** Notes each question. */
function lookup(events: readonly EventData[], asked: string[] = []): StateLookup & { readonly asked: string[] } {
  return {
    asked,
    get(type, stateKey) {
      asked.push(`get ${type} ${stateKey}`);
      return events.find((event) => event.type === type && event.state_key === stateKey);
    },
    list(type, limit) {
      asked.push(`list ${type} ${limit}`);
      return events.filter((event) => event.type === type).slice(0, limit);
    },
    entries: () => events,
  };
}

async function read({ thirdPartyRules }: Running, state: StateLookup, type: string, key = '') {
  const outcome = await thirdPartyRules.checkEventAllowed(event('allow', { read: { type, key } }), state);
  return outcome.allowed
    ? { content: outcome.replacement?.event.content, failures: outcome.failures }
    : { error: outcome.error, failures: outcome.failures };
}

const entry = { module: './state.ts#ReadsState' };

t.test('types that a module always wants come with the call', async (t) => {
  const modules = await start(t, [{ ...entry, config: { stateTypes: ['m.room.topic', 'm.space.child'] } }]);
  const room = [stateEvent('m.room.topic', '', { topic: 'fish' }), stateEvent('m.space.child', 'a')];

  const state = lookup(room);
  t.match((await read(modules, state, 'm.room.topic')).content, {
    found: { topic: 'fish' },
    isEvent: true,
    number: 1,
    pinned: true,
  });
  t.strictSame(state.asked, ['list m.room.topic 101', 'list m.space.child 101'], 'the cell asked nothing');

  const nothing = await read(modules, lookup(room), 'm.room.topic', 'elsewhere');
  t.match(nothing.content, { found: null, number: 1 }, 'that it is not there is known as well');

  const other = lookup([...room, stateEvent('m.room.name', '', { name: 'Pond' })]);
  t.match((await read(modules, other, 'm.room.name')).content, { found: { name: 'Pond' }, number: 1 });
  t.strictSame(other.asked.slice(2), ['get m.room.name ', 'list m.room.name undefined'], 'the rest on demand');
});

t.test('a type of which there is too much is left to be asked for', async (t) => {
  const modules = await start(t, [{ ...entry, config: { stateTypes: ['m.room.member'] } }]);
  const crowd = Array.from({ length: 5000 }, (_, index) => stateEvent('m.room.member', `@u${index}:example.com`));
  const large = Array.from({ length: 50 }, (_, index) =>
    stateEvent('m.room.member', `@u${index}:example.com`, { displayname: 'x'.repeat(4000) }),
  );
  for (const [events, key] of [
    [crowd, '@u4999:example.com'],
    [large, '@u49:example.com'],
  ] as const) {
    const state = lookup(events);
    t.match((await read(modules, state, 'm.room.member', key)).content, { isEvent: true, number: events.length });
    t.strictSame(state.asked.slice(0, 2), ['list m.room.member 101', `get m.room.member ${key}`]);
  }
});

t.test('a lookup that fails, or never answers, is not the fault of the module', async (t) => {
  const modules = await start(t, [
    { ...entry, timeout: '150ms', breaker: { failures: 1 }, config: { stateTypes: ['m.room.topic'] } },
  ]);
  const broken: StateLookup = { ...lookup([]), list: () => Promise.reject(new Error('the disk is full')) };
  const failed = await read(modules, broken, 'm.room.name');
  t.match(failed.failures, [{ kind: 'threw', message: /state.list failed/ }], 'the module is asked, and hears of it');

  await modules.restart('./state.ts#ReadsState');
  const silent: StateLookup = { ...lookup([]), list: () => new Promise<never>(() => {}) };
  t.match((await read(modules, silent, 'm.room.topic')).failures, [{ kind: 'queue_timeout' }]);
  t.equal(modules.status()[0]?.state, 'running');
});

t.test('what a module wants has to be a short list of types', async (t) => {
  for (const [stateTypes, message] of [
    ['m.room.topic', /stateTypes must be a list of event types/],
    [[7], /stateTypes must be a list of event types/],
    [Array.from({ length: 21 }, (_, index) => `t${index}`), /at most 20 stateTypes/],
  ] as const) {
    const problems = await problemsOf(start(t, [{ ...entry, config: { stateTypes } }]));
    t.match(problems, [{ message }]);
  }
});
