import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { bodies, Client, type ClientEvent, type ContextBody, type Json, joinedRoom } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const path = (client: Client) => `/_matrix/client/v3/user/${encodeURIComponent(client.userId)}/filter`;
const store = async (client: Client, filter: Json) => String((await client.post(path(client), filter)).filter_id);
const withFilter = (filter: Json) => ({ filter: JSON.stringify(filter) });
const timeline = (filter: Json) => withFilter({ room: { timeline: filter } });
const types = (events: readonly ClientEvent[] = []) => events.map(({ type }) => type);
const contextPath = (roomId: string) => `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/context`;
const members = (events: readonly ClientEvent[] = []) =>
  events.filter(({ type }) => type === 'm.room.member').map(({ state_key }) => state_key);

t.test('a filter is kept, and is the same for the same filter', async (t) => {
  const filter = { room: { timeline: { limit: 2, 'org.example.more': true } } };
  const id = await store(alice, filter);
  t.same(await alice.get(`${path(alice)}/${id}`), filter);
  t.equal(await store(alice, filter), id);
  t.not(await store(alice, { room: { timeline: { limit: 3 } } }), id);
  const room = await alice.createRoom({});
  for (const body of ['one', 'two', 'three']) await alice.say(room, body);
  const { timeline: shown } = joinedRoom(await (await Client.login(server.url, 'alice')).sync({ filter: id }), room);
  t.same(bodies(shown.events), ['two', 'three']);
  t.equal(shown.limited, true);
});

t.test('what is refused', async (t) => {
  const id = await store(alice, {});
  const cases: readonly (readonly [string, () => Promise<unknown>, number, string])[] = [
    ['another user', () => bob.get(`${path(alice)}/${id}`), 403, 'M_FORBIDDEN'],
    ['for another user', () => bob.post(path(alice), {}), 403, 'M_FORBIDDEN'],
    ['unknown', () => alice.get(`${path(alice)}/nothing`), 404, 'M_NOT_FOUND'],
    ['unknown in a sync', () => alice.sync({ filter: 'nothing' }), 400, 'M_INVALID_PARAM'],
    ['of another user in a sync', () => bob.sync({ filter: id.slice(1) }), 400, 'M_INVALID_PARAM'],
    ['no JSON', () => alice.sync({ filter: '{' }), 400, 'M_INVALID_PARAM'],
    ['wrong types', () => alice.post(path(alice), { room: { rooms: 'all' } }), 400, 'M_BAD_JSON'],
    ['a list for an object', () => alice.post(path(alice), { room: [] }), 400, 'M_BAD_JSON'],
    ['wrong types inline', () => alice.sync(withFilter({ presence: { limit: 'x' } })), 400, 'M_INVALID_PARAM'],
    ['too large', () => store(alice, { event_fields: Array(900).fill('x'.repeat(80)) }), 413, 'M_TOO_LARGE'],
  ];
  for (const [why, request, status, errcode] of cases) await refuses(t, request, { status, errcode }, why);
});

t.test('timelines by type and by sender', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await Promise.all([alice.sync(), bob.sync()]);
  const since = alice.since;
  await alice.say(room, 'from alice');
  await bob.say(room, 'from bob');
  await alice.send(room, 'org.example.tick', {});
  const seen = async (filter: Json) => {
    const body = await alice.sync({ since, ...timeline(filter) });
    return types(body.rooms.join[room]?.timeline.events);
  };
  t.same(await seen({ types: ['m.room.*'] }), ['m.room.message', 'm.room.message']);
  t.same(await seen({ not_types: ['*message'] }), ['org.example.tick']);
  t.same(await seen({ types: ['*'], not_types: ['*'] }), []);
  t.same(await seen({ senders: [bob.userId] }), ['m.room.message']);
  t.same(await seen({ not_senders: [alice.userId] }), ['m.room.message']);
  t.same(await seen({ not_rooms: [room] }), []);
  t.same(await seen({ contains_url: true }), []);
  t.equal((await seen({ contains_url: false })).length, 3);
  t.same((await alice.sync({ since, ...timeline({ types: ['org.example.none'] }) })).rooms.join, {}, 'no empty room');
});

t.test('whole rooms', async (t) => {
  const [wanted, other] = [await alice.createRoom({}), await alice.createRoom({})];
  const fresh = await Client.login(server.url, 'alice');
  t.same(Object.keys((await fresh.sync(withFilter({ room: { rooms: [wanted] } }))).rooms.join), [wanted]);
  const without = await fresh.sync({ since: undefined, ...withFilter({ room: { not_rooms: [other] } }) });
  t.notOk(without.rooms.join[other]);
  t.ok(without.rooms.join[wanted]);
});

t.test('a long poll sleeps through what its filter leaves out', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  const began = performance.now();
  const waiting = alice.sync({ timeout: 1500, ...timeline({ not_types: ['org.example.tick'] }) });
  await delay(100);
  await alice.send(room, 'org.example.tick', {});
  t.same((await waiting).rooms.join, {});
  t.ok(performance.now() - began > 1400);
});

t.test('account data, presence and ephemeral events', async (t) => {
  const room = await alice.createRoom({});
  const user = `/_matrix/client/v3/user/${encodeURIComponent(alice.userId)}`;
  await alice.put(`${user}/account_data/org.example.a`, {});
  await alice.put(`${user}/rooms/${encodeURIComponent(room)}/account_data/org.example.b`, {});
  const id = await alice.say(room, 'x');
  await alice.post(`/_matrix/client/v3/rooms/${encodeURIComponent(room)}/receipt/m.read/${encodeURIComponent(id)}`);
  const none = { not_types: ['*'] };
  const body = await (await Client.login(server.url, 'alice')).sync(
    withFilter({ account_data: none, presence: none, room: { account_data: none, ephemeral: none, state: none } }),
  );
  t.same([body.account_data.events, body.presence.events], [[], []]);
  const { state, ephemeral, account_data } = joinedRoom(body, room);
  t.same([state.events, ephemeral.events, account_data.events], [[], [], []]);
});

t.test('members as the timeline needs them', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  const crowd = await Promise.all(['m1', 'm2', 'm3'].map((name) => server.register(name)));
  for (const each of [bob, ...crowd]) await each.join(room);
  for (let i = 0; i < 5; i++) await crowd[0]?.say(room, `${i}`);
  const lazy = withFilter({ room: { timeline: { limit: 2 }, state: { lazy_load_members: true } } });
  const [m1 = '', m2 = ''] = crowd.map(({ userId }) => userId);

  const fresh = await Client.login(server.url, 'bob');
  const first = joinedRoom(await fresh.sync(lazy), room);
  t.same(members(first.state.events).sort(), [bob.userId, m1].sort(), 'who speaks, and the user');
  t.ok(types(first.state.events).includes('m.room.power_levels'), 'the rest of the state is whole');
  t.match(first.summary, { 'm.joined_member_count': 5, 'm.invited_member_count': 0, 'm.heroes': Array });
  t.notOk(JSON.stringify(first.summary).includes(bob.userId), 'a user is not his own hero');

  await crowd[1]?.say(room, 'me too');
  const next = joinedRoom(await fresh.sync(lazy), room);
  t.same(bodies(next.timeline.events), ['me too']);
  t.same(members(next.state.events), [m2], 'a new speaker comes with his membership');
  t.notOk(next.summary, 'nobody came or went');

  await server.register('m4').then((m4) => m4.join(room));
  t.match(joinedRoom(await fresh.sync(lazy), room).summary, { 'm.joined_member_count': 6 });

  const page = await fresh.messages(room, { dir: 'b', limit: 3, filter: '{"lazy_load_members":true}' });
  t.ok(members(page.state).includes(m2));
  t.notOk(members(page.state).includes(crowd[2]?.userId));
});

t.test('what is around an event', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  for (const body of ['1', '2']) await bob.say(room, body);
  const id = await alice.say(room, '3');
  await alice.send(room, 'org.example.tick', {});
  for (const body of ['4', '5']) await bob.say(room, body);
  const around = (filter: Json, limit = 4) =>
    alice.get<ContextBody>(`${contextPath(room)}/${encodeURIComponent(id)}`, { limit, ...withFilter(filter) });

  const said = await around({ types: ['m.room.message'] });
  t.same(bodies(said.events_before), ['2', '1']);
  t.same(bodies(said.events_after), ['4', '5']);
  t.same(said.state, []);
  const toBobs = await around({ senders: [bob.userId] }, 2);
  t.equal(toBobs.event.event_id, id, 'the event itself is there whatever the filter says');
  t.same([bodies(toBobs.events_before), bodies(toBobs.events_after)], [['2'], ['4']]);
  t.same(bodies((await alice.messages(room, { dir: 'b', from: toBobs.start, limit: 1 })).chunk), ['1']);
  t.same(bodies((await alice.messages(room, { dir: 'f', from: toBobs.end, limit: 1 })).chunk), ['5']);

  const lazily = await around({ lazy_load_members: true }, 0);
  t.same(members(lazily.state), [alice.userId]);
  t.ok(types(lazily.state).includes('m.room.power_levels'));
  const refused = alice.get(`${contextPath(room)}/${encodeURIComponent(id)}`, { filter: '{' });
  await refuses(t, refused, { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('rooms that the user has left', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await bob.leave(room);
  const fresh = await Client.login(server.url, 'bob');
  t.notOk((await fresh.sync()).rooms.leave[room]);
  const left = (await fresh.sync({ since: undefined, ...withFilter({ room: { include_leave: true } }) })).rooms.leave;
  t.match(left[room]?.timeline.events.at(-1), { type: 'm.room.member', content: { membership: 'leave' } });
});

t.test('fields of events', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  await alice.send(room, 'm.room.message', {
    body: 'x',
    msgtype: 'm.text',
    'm.mentions': { room: true, user_ids: [] },
  });
  const fields = ['type', 'content.body', 'content.m\\.mentions.room', 'nothing'];
  const { timeline: shown } = joinedRoom(await alice.sync(withFilter({ event_fields: fields })), room);
  t.same(shown.events, [{ type: 'm.room.message', content: { body: 'x', 'm.mentions': { room: true } } }]);
});

t.test('/messages passes filters, and comes to an end', async (t) => {
  const room = await alice.createRoom({});
  for (let i = 0; i < 12; i++) await alice.send(room, i % 4 === 0 ? 'org.example.tick' : 'm.room.message', { body: i });
  const filter = '{"types":["org.example.tick"]}';
  for (const dir of ['b', 'f'] as const) {
    const found: unknown[] = [];
    let from: string | undefined;
    for (let pages = 0; pages < 10; pages++) {
      const page = await alice.messages(room, { dir, limit: 2, filter, from });
      found.push(...page.chunk.map(({ content }) => content.body));
      if (page.end === undefined) break;
      from = page.end;
    }
    t.same(found, dir === 'b' ? [8, 4, 0] : [0, 4, 8]);
  }
  await refuses(t, alice.messages(room, { dir: 'b', filter: '[]' }), { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('a pattern of many stars takes no time', async (t) => {
  const room = await alice.createRoom({});
  await alice.sync();
  await alice.send(room, 'a'.repeat(200), {});
  const began = performance.now();
  await alice.sync(timeline({ types: [`${'*a'.repeat(90)}*b`] }));
  t.ok(performance.now() - began < 3000);
});

t.test('a pattern is the same to the database as to the program', async (t) => {
  const room = await alice.createRoom({});
  const sent = ['org.a_b', 'org.aXb', 'org.a%b', 'org.a\\b', 'org.a\ufffdb', 'org.a*b'];
  for (const type of sent) await alice.send(room, type, type === 'org.a_b' ? { url: 'mxc://a/b' } : {});
  const shown = async (filter: Json) => {
    const page = await alice.messages(room, { dir: 'f', limit: 50, filter: JSON.stringify(filter) });
    return types(page.chunk).filter((type) => type.startsWith('org.'));
  };
  const cases: readonly (readonly [Json, readonly string[]])[] = [
    [{ types: ['org.a*b'] }, sent],
    [{ types: ['org.a_b'] }, ['org.a_b']],
    [{ types: ['*a_b'] }, ['org.a_b']],
    [{ types: ['*.a%b'] }, ['org.a%b']],
    [{ types: ['*a\\b'] }, ['org.a\\b']],
    [{ types: ['org.*'], not_types: ['org.a_*', '*%b', '*X*'] }, sent.slice(3)],
    [{ types: ['org.*'], contains_url: true }, ['org.a_b']],
    [{ types: ['org.*'], senders: [bob.userId] }, []],
    [{ types: ['org.*'], not_senders: [alice.userId] }, []],
    [{ types: [] }, []],
    [{ not_types: ['m.*'], not_senders: [] }, sent],
    [{ types: ['org.*'], not_rooms: [room] }, []],
    // What no event can contain is in none.
    [{ types: ['org.a\0b', '*\0*', 'org.a\ud800b', 'org.a_b'] }, ['org.a_b']],
    [{ types: ['org.*'], not_types: ['*\ud800*', '\0'] }, sent],
  ];
  for (const [filter, expected] of cases) t.same(await shown(filter), expected, JSON.stringify(filter));
});
