import t from 'tap';
import { bodies, type Client, joinedRoom } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');

async function talk(room: string, from: number, to: number) {
  for (let i = from; i <= to; i++) await alice.say(room, `m${i}`);
}
const seenBy = async (client: Client, room: string) =>
  bodies((await client.messages(room, { dir: 'f', limit: 500 })).chunk);
const visibility = (history_visibility: string) => ({
  type: 'm.room.history_visibility',
  content: { history_visibility },
});

t.test('pages backwards and forwards meet, without gap or overlap', async (t) => {
  const room = await alice.createRoom({});
  await talk(room, 1, 25);
  for (const dir of ['b', 'f'] as const) {
    const seen: unknown[] = [];
    let from: string | undefined;
    let pages = 0;
    do {
      const page = await alice.messages(room, { dir, from, limit: 7 });
      t.ok(page.chunk.length <= 7);
      if (from !== undefined) t.equal(page.start, from);
      seen.push(...bodies(page.chunk));
      from = page.end;
      pages++;
    } while (from !== undefined);
    const all = Array.from({ length: 25 }, (_, index) => `m${index + 1}`);
    t.same(seen, dir === 'b' ? all.toReversed() : all);
    t.equal(pages, 5, '32 events');
  }
});

t.test('from and to bound a page', async (t) => {
  const room = await alice.createRoom({});
  await talk(room, 1, 3);
  const { start: middle } = await alice.messages(room, { dir: 'b', limit: 1 });
  await talk(room, 4, 6);
  const { start: end } = await alice.messages(room, { dir: 'b', limit: 1 });
  await talk(room, 7, 8);
  t.same(bodies((await alice.messages(room, { dir: 'f', from: middle })).chunk), ['m4', 'm5', 'm6', 'm7', 'm8']);
  t.same(bodies((await alice.messages(room, { dir: 'f', from: middle, to: end })).chunk), ['m4', 'm5', 'm6']);
  t.same(bodies((await alice.messages(room, { dir: 'b', from: end, to: middle })).chunk), ['m6', 'm5', 'm4']);
  await refuses(t, alice.messages(room, {}), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, alice.messages(room, { dir: 'b', from: 'nonsense' }), { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('shared: members see what was before them', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await talk(room, 1, 2);
  await bob.join(room);
  await talk(room, 3, 3);
  t.same(await seenBy(bob, room), ['m1', 'm2', 'm3']);
  await bob.leave(room);
  await talk(room, 4, 4);
  t.same(await seenBy(bob, room), ['m1', 'm2', 'm3'], 'and nothing of what comes after them');
  t.match((await bob.messages(room)).chunk[0], { state_key: bob.userId, content: { membership: 'leave' } });
  await bob.join(room);
  t.same(await seenBy(bob, room), ['m1', 'm2', 'm3', 'm4'], 'until they come back');
});

t.test('joined: members see what happens while they are there', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', initial_state: [visibility('joined')] });
  await talk(room, 1, 2);
  await bob.join(room);
  await talk(room, 3, 4);
  await bob.leave(room);
  await talk(room, 5, 6);
  await bob.join(room);
  await talk(room, 7, 7);
  t.same(await seenBy(bob, room), ['m3', 'm4', 'm7']);
  t.same(await seenBy(alice, room), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7']);
  const page = await bob.messages(room, { dir: 'b', limit: 3 });
  const rest = await bob.messages(room, { dir: 'b', from: page.end, limit: 100 });
  t.same(bodies([...page.chunk, ...rest.chunk]), ['m7', 'm4', 'm3'], 'pages go over the gaps');
});

t.test('invited: from the invite on, once one has joined', async (t) => {
  const room = await alice.createRoom({ initial_state: [visibility('invited')] });
  await talk(room, 1, 1);
  await alice.invite(room, bob.userId);
  await talk(room, 2, 2);
  await bob.join(room);
  t.same(await seenBy(bob, room), ['m2']);
});

t.test('world_readable: everybody', async (t) => {
  const room = await alice.createRoom({ initial_state: [visibility('world_readable')] });
  await talk(room, 1, 2);
  t.same(await seenBy(bob, room), ['m1', 'm2']);
  t.match(await bob.getState(room, 'm.room.create'), { room_version: '11' });
  await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'joined' });
  await talk(room, 3, 3);
  t.same(await seenBy(bob, room), ['m1', 'm2'], 'what was open stays open');
});

t.test('what the visibility was at the time decides', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', initial_state: [visibility('joined')] });
  await talk(room, 1, 1);
  await alice.setState(room, 'm.room.history_visibility', { history_visibility: 'shared' });
  await talk(room, 2, 2);
  await bob.join(room);
  t.same(await seenBy(bob, room), ['m2']);
  const { timeline, state } = joinedRoom(await bob.sync(), room);
  t.same(bodies(timeline.events), ['m2']);
  const all = [...state.events, ...timeline.events].map(({ type }) => type);
  t.ok(all.includes('m.room.create'), 'the state is whole although the timeline is not');
});

t.test('who left reads the state as it was', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'then' });
  await bob.join(room);
  await bob.leave(room);
  await alice.setState(room, 'm.room.topic', { topic: 'now' });
  t.same(await bob.getState(room, 'm.room.topic'), { topic: 'then' });
  t.match(
    (await bob.state(room)).find(({ type }) => type === 'm.room.topic'),
    { content: { topic: 'then' } },
  );
  t.same(await alice.getState(room, 'm.room.topic'), { topic: 'now' });
});

t.test('members, by membership and at a time', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  const { next_batch } = await alice.sync();
  await bob.join(room);
  const ids = async (query = {}) => (await alice.members(room, query)).chunk.map(({ state_key }) => state_key);
  t.same(await ids(), [alice.userId, bob.userId]);
  t.same(await ids({ at: next_batch }), [alice.userId]);
  await bob.leave(room);
  t.same(await ids({ membership: 'join' }), [alice.userId]);
  t.same(await ids({ membership: 'leave' }), [bob.userId]);
  t.same(await ids({ not_membership: 'leave' }), [alice.userId]);
});

t.test('a forgotten room', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await refuses(t, bob.forget(room), { status: 404, errcode: 'M_NOT_FOUND' });
  await bob.join(room);
  await refuses(t, bob.forget(room), { status: 400, errcode: 'M_UNKNOWN' });
  await bob.sync();
  await bob.leave(room);
  await bob.messages(room);
  await bob.forget(room);
  await refuses(t, bob.messages(room), { status: 403, errcode: 'M_FORBIDDEN' });
  t.notOk((await bob.sync()).rooms.leave[room]);
  await bob.join(room);
  await bob.messages(room);
});

t.test('state that is so already makes no event', async (t) => {
  const room = await alice.createRoom({});
  const first = await alice.setState(room, 'm.room.topic', { topic: 'same', more: { a: 1, b: 2 } });
  t.equal(await alice.setState(room, 'm.room.topic', { more: { b: 2, a: 1 }, topic: 'same' }), first);
  t.not(await alice.setState(room, 'm.room.topic', { topic: 'other' }), first);
  t.equal((await alice.messages(room)).chunk.filter(({ type }) => type === 'm.room.topic').length, 2);
});

t.test('state with and without a key, as content and as event', async (t) => {
  const room = await alice.createRoom({});
  const id = await alice.setState(room, 'com.example.thing', { n: 1 }, 'a/key with?signs');
  t.same(await alice.getState(room, 'com.example.thing', 'a/key with?signs'), { n: 1 });
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/state/com.example.thing`;
  t.match(await alice.put(path, { n: 2 }), { event_id: String });
  t.same(await alice.get(path), { n: 2 });
  t.same(await alice.get(`${path}/`), { n: 2 });
  t.match(await alice.get(`${path}/${encodeURIComponent('a/key with?signs')}`, { format: 'event' }), {
    event_id: id,
    content: { n: 1 },
  });
  await refuses(t, alice.getState(room, 'm.room.topic'), { status: 404, errcode: 'M_NOT_FOUND' });
});
