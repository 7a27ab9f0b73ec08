import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { bodies, Client, joinedRoom } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');

/** Everything that a client learns from one sync, without the presence of others. */
const timelineOf = async (client: Client, room: string, query = {}) =>
  (await client.sync(query)).rooms.join[room]?.timeline.events ?? [];

t.test('the first sync tells all, the next what is new, and nothing twice', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Harbour' });
  await alice.say(room, 'one');
  const carol = await server.register('carol');
  await carol.join(room);

  const first = await carol.sync();
  t.same(Object.keys(first.rooms.join), [room]);
  const { timeline, state } = joinedRoom(first, room);
  t.same(bodies(timeline.events), ['one']);
  t.equal(timeline.limited, false);
  t.match(timeline.events.at(-1), { type: 'm.room.member', state_key: carol.userId });
  t.same(state.events, [], 'the timeline begins with the room');

  t.same((await carol.sync()).rooms, { join: {}, invite: {}, knock: {}, leave: {} });
  await alice.say(room, 'two');
  await alice.say(room, 'three');
  const next = await carol.sync();
  t.same(bodies(next.rooms.join[room]?.timeline.events), ['two', 'three']);
  t.notOk('room_id' in (next.rooms.join[room]?.timeline.events[0] ?? {}));
  t.same(await timelineOf(carol, room), []);

  t.same(
    bodies(await timelineOf(carol, room, { since: first.next_batch })),
    ['two', 'three'],
    'a token can be used again',
  );
});

t.test('a long poll waits, and wakes for what concerns it', async (t) => {
  const room = await alice.createRoom({ invite: [bob.userId] });
  await bob.join(room);
  const other = await alice.createRoom({});
  await alice.sync();
  await bob.sync();
  await bob.sync();

  const began = performance.now();
  const waiting = bob.sync({ timeout: 20_000 });
  await delay(100);
  await alice.say(other, 'not for bob');
  await delay(100);
  await alice.say(room, 'for bob');
  t.same(bodies((await waiting).rooms.join[room]?.timeline.events), ['for bob']);
  const took = performance.now() - began;
  t.ok(took > 190 && took < 15_000, `woke after ${took} ms`);
});

t.test('a long poll ends with its time, and keeps its place', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  const began = performance.now();
  const empty = await alice.sync({ timeout: 300 });
  t.ok(performance.now() - began >= 290);
  t.same(empty.rooms, { join: {}, invite: {}, knock: {}, leave: {} });
  await alice.say(room, 'after');
  t.same(bodies(await timelineOf(alice, room)), ['after']);
});

t.test('invites, joins, kicks and bans wake the one whom they are about', async (t) => {
  const room = await alice.createRoom({ name: 'Secret' });
  await bob.sync();

  const invited = bob.sync({ timeout: 10_000 });
  await delay(50);
  await alice.invite(room, bob.userId);
  const { invite } = (await invited).rooms;
  const shown = invite[room]?.invite_state.events ?? [];
  t.match(
    shown.find(({ type }) => type === 'm.room.name'),
    { content: { name: 'Secret' }, sender: alice.userId },
  );
  t.match(
    shown.find(({ state_key }) => state_key === bob.userId),
    { content: { membership: 'invite' } },
  );
  t.ok(shown.find(({ state_key }) => state_key === alice.userId));
  t.notOk(
    shown.some((event) => 'event_id' in event),
    'stripped',
  );
  t.same((await bob.sync()).rooms.invite, {}, 'told once');

  await bob.join(room);
  const { join } = (await bob.sync()).rooms;
  t.ok(join[room]);
  await bob.say(room, 'hello');
  await bob.sync();

  const kicked = bob.sync({ timeout: 10_000 });
  await delay(50);
  await alice.kick(room, bob.userId);
  await alice.say(room, 'gone at last');
  const { leave, join: rest } = (await kicked).rooms;
  t.notOk(rest[room]);
  t.match(leave[room]?.timeline.events.at(-1), { state_key: bob.userId, content: { membership: 'leave' } });
  t.same((await bob.sync()).rooms.leave, {}, 'told once');
  t.notOk((await bob.sync({ since: undefined })).rooms.join[room]);
});

t.test('a rejected invite shows nothing of the room', async (t) => {
  const room = await alice.createRoom({ invite: [bob.userId] });
  await alice.say(room, 'private');
  await bob.sync();
  await bob.leave(room);
  const { leave } = (await bob.sync()).rooms;
  t.same(bodies(leave[room]?.timeline.events), []);
  t.same(
    leave[room]?.timeline.events.map(({ state_key }) => state_key),
    [bob.userId],
  );
  t.same(leave[room]?.state.events, []);
});

t.test('a long timeline is cut: the state before it, and a token for the rest', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Busy' });
  await bob.join(room);
  await bob.sync();
  await alice.setState(room, 'm.room.topic', { topic: 'before the cut' });
  for (let i = 1; i <= 30; i++) await alice.say(room, `m${i}`);
  await alice.setState(room, 'm.room.name', { name: 'within' });

  const { timeline, state } = joinedRoom(await bob.sync(), room);
  t.equal(timeline.limited, true);
  t.equal(timeline.events.length, 20);
  t.same(bodies(timeline.events).at(0), 'm12');
  t.same(
    state.events.map(({ type }) => type),
    ['m.room.topic'],
    'what changed between the token and the timeline',
  );

  const older = await bob.messages(room, { dir: 'b', from: timeline.prev_batch, limit: 50 });
  t.same(bodies(older.chunk).slice(0, 11), ['m11', 'm10', 'm9', 'm8', 'm7', 'm6', 'm5', 'm4', 'm3', 'm2', 'm1']);

  const initial = joinedRoom(await bob.sync({ since: undefined }), room);
  t.equal(initial.timeline.limited, true);
  t.match(
    initial.state.events.find(({ type }) => type === 'm.room.name'),
    { content: { name: 'Busy' } },
  );
  t.match(
    initial.state.events.find(({ type }) => type === 'm.room.topic'),
    { content: { topic: 'before the cut' } },
  );
  t.ok(initial.state.events.find(({ type, state_key }) => type === 'm.room.member' && state_key === bob.userId));
});

t.test('full_state is told at once', async (t) => {
  const room = await alice.createRoom({ name: 'Full' });
  await alice.sync();
  const { state, timeline } = joinedRoom(await alice.sync({ full_state: 'true', timeout: 30_000 }), room);
  t.same(timeline.events, []);
  t.ok(state.events.some(({ type }) => type === 'm.room.create'));
  t.match(
    state.events.find(({ type }) => type === 'm.room.name'),
    { content: { name: 'Full' } },
  );
});

t.test('who comes back to a room gets it whole', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Return' });
  await bob.join(room);
  await bob.sync();
  await bob.leave(room);
  await bob.sync();
  await alice.setState(room, 'm.room.topic', { topic: 'while bob was away' });
  await bob.join(room);
  const { state, timeline } = joinedRoom(await bob.sync(), room);
  const all = [...state.events, ...timeline.events];
  t.ok(all.some(({ type }) => type === 'm.room.create'));
  t.ok(all.some(({ content }) => content.topic === 'while bob was away'));
});

t.test('a new profile of a member is no new room', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  await alice.setDisplayName('Alice again');
  const { timeline, state } = joinedRoom(await alice.sync(), room);
  t.match(timeline.events, [{ type: 'm.room.member', content: { displayname: 'Alice again' } }]);
  t.same(timeline.events[0]?.unsigned?.prev_content, { membership: 'join' });
  t.same(state.events, []);
});

t.test('only the sending device recognises its transaction', async (t) => {
  const room = await alice.createRoom({});
  const tablet = await Client.login(server.url, 'alice');
  await Promise.all([alice.sync(), tablet.sync()]);
  const id = await alice.send(room, 'm.room.message', { body: 'mine' }, 'txn-a');
  t.match(await timelineOf(alice, room), [{ event_id: id, unsigned: { transaction_id: 'txn-a' } }]);
  const [seen] = await timelineOf(tablet, room);
  t.equal(seen?.event_id, id);
  t.notOk(seen?.unsigned?.transaction_id);
});

t.test('a repeated transaction sends nothing a second time', async (t) => {
  const room = await alice.createRoom({});
  const send = () => alice.send(room, 'm.room.message', { body: 'once' }, 'txn-once');
  const ids = await Promise.all([send(), send()]);
  t.equal(ids[0], ids[1]);
  t.equal(await send(), ids[0]);
  t.same(bodies((await alice.messages(room)).chunk), ['once']);
  const other = await alice.createRoom({});
  t.not(
    await alice.send(other, 'm.room.message', { body: 'once' }, 'txn-once'),
    ids[0],
    'another room, another request',
  );
});

t.test('a redaction takes the content away, for everybody and for good', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const id = await alice.say(room, 'a secret');
  await bob.sync();
  const redaction = await alice.redact(room, id, 'slip');
  const [told] = await timelineOf(bob, room);
  t.match(told, {
    event_id: redaction,
    type: 'm.room.redaction',
    redacts: id,
    content: { redacts: id, reason: 'slip' },
  });
  const { chunk } = await bob.messages(room);
  const found = chunk.find(({ event_id }) => event_id === id);
  t.same(found?.content, {});
  t.match(found?.unsigned?.redacted_because, { event_id: redaction, sender: alice.userId });
});

t.test('tokens that nobody was given', async (t) => {
  await refuses(t, alice.sync({ since: 'nonsense' }), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.sync({ set_presence: 'asleep' }), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, new Client(server.url).sync(), { status: 401, errcode: 'M_MISSING_TOKEN' });
});

t.test('many talk at once: every client gets every message once, in one order', async (t) => {
  const rooms = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom({ preset: 'public_chat' })];
  for (const room of rooms) await bob.join(room);
  const readers = [alice, bob, await Client.login(server.url, 'bob')];
  for (const reader of readers) await reader.sync();

  const MESSAGES = 40;
  const heard = readers.map(() => new Map<string, unknown[]>());
  const reading = readers.map(async (reader, index) => {
    for (;;) {
      const { join } = (await reader.sync({ timeout: 5_000 })).rooms;
      for (const room of rooms) {
        const list = heard[index]?.get(room) ?? [];
        t.notOk(join[room]?.timeline.limited);
        heard[index]?.set(room, [...list, ...bodies(join[room]?.timeline.events)]);
      }
      if (rooms.every((room) => (heard[index]?.get(room)?.length ?? 0) >= MESSAGES)) return;
    }
  });
  await Promise.all(
    rooms.flatMap((room) =>
      [alice, bob].map(async (sender) => {
        for (let i = 0; i < MESSAGES / 2; i++) {
          await sender.say(room, `${sender.userId} ${i}`);
          await delay(Math.random() * 10);
        }
      }),
    ),
  );
  await Promise.all(reading);
  for (const room of rooms) {
    const first = heard[0]?.get(room) ?? [];
    t.equal(new Set(first).size, MESSAGES);
    for (const other of heard) t.same(other.get(room), first);
    t.same(bodies((await bob.messages(room, { dir: 'f', limit: 1000 })).chunk), first);
  }
});

t.test('a client that goes away is forgotten', async (t) => {
  await alice.sync();
  const gone = new AbortController();
  const waiting = alice.sync({ timeout: 60_000 }, gone.signal);
  await delay(50);
  gone.abort();
  await t.rejects(waiting, { name: 'AbortError' });
  await alice.whoami();
});

t.test('closing the server answers those who wait', async (t) => {
  const short = await startServer(t);
  const dave = await short.register('dave');
  await dave.sync();
  const waiting = dave.sync({ timeout: 60_000 });
  await delay(50);
  const began = performance.now();
  await short.close();
  t.match(await waiting, { rooms: { join: {} } });
  t.ok(performance.now() - began < 30_000);
});

t.test('who has asked, and begins to wait when the server is closing, is answered, too', async (t) => {
  const closing = await startServer(t);
  const dave = await closing.register('dave');
  await dave.sync();
  await dave.sync();
  let answer = () => {};
  const asked = new Promise<void>((resolve) => {
    closing.fake.answers.getInterestedUsers = async () => {
      resolve();
      await new Promise<void>((release) => {
        answer = release;
      });
      return { users: new Set<string>(), failures: [], observed: [] };
    };
  });
  const late = dave.sync({ timeout: 60_000 });
  await asked;
  const closed = closing.close();
  await delay(50);
  answer();
  t.match((await late).rooms, { join: {} });
  await closed;
});
