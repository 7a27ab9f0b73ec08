import t from 'tap';
import { Client } from './client.ts';
import { refuses, startServer } from './harness.ts';

const V3 = '/_matrix/client/v3';
const server = await startServer(t, { admins: ['@admin:example.com'] });
const admin = await server.register('admin');
const alice = await server.register('alice');
const bob = await server.register('bob');
const nobody = new Client(server.url);

t.test('aliases: put, get, delete', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  const alias = '#harbour:example.com';
  await refuses(t, nobody.resolve(alias), { status: 404, errcode: 'M_NOT_FOUND' });
  await alice.createAlias(alias, room);
  t.same(await nobody.resolve(alias), { room_id: room, servers: ['example.com'] });
  t.equal(await bob.join(alias), room);
  t.same(await alice.get(`${V3}/rooms/${encodeURIComponent(room)}/aliases`), { aliases: [alias] });

  await refuses(t, alice.createAlias(alias, room), { status: 409, errcode: 'M_UNKNOWN' });
  await refuses(t, alice.createAlias('#x:elsewhere.org', room), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.createAlias('nonsense', room), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.createAlias('#x:example.com', 'nonsense'), { status: 400, errcode: 'M_INVALID_PARAM' });
  const other = await alice.createRoom({});
  await refuses(t, bob.createAlias('#other:example.com', other), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, nobody.createAlias('#other:example.com', other), { status: 401, errcode: 'M_MISSING_TOKEN' });

  await refuses(t, bob.deleteAlias(alias), { status: 403, errcode: 'M_FORBIDDEN' });
  await alice.deleteAlias(alias);
  await refuses(t, nobody.resolve(alias), { status: 404, errcode: 'M_NOT_FOUND' });
  await refuses(t, alice.deleteAlias(alias), { status: 404, errcode: 'M_NOT_FOUND' });
});

t.test('an alias may be deleted by its creator, by who names the room, and by an admin', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  for (const [name, by] of [
    ['#b1:example.com', bob],
    ['#b2:example.com', alice],
    ['#b3:example.com', admin],
  ] as const) {
    await bob.createAlias(name, room);
    await by.deleteAlias(name);
    await refuses(t, nobody.resolve(name), { status: 404 });
  }
});

t.test('a room is called by names that lead to it', async (t) => {
  const room = await alice.createRoom({ room_alias_name: 'here' });
  const other = await alice.createRoom({ room_alias_name: 'there' });
  t.same(await alice.getState(room, 'm.room.canonical_alias'), { alias: '#here:example.com' });
  const name = (content: object) => alice.setState(room, 'm.room.canonical_alias', content as Record<string, unknown>);
  await refuses(t, name({ alias: '#there:example.com' }), { status: 400, errcode: 'M_BAD_ALIAS' });
  await refuses(t, name({ alias: '#nowhere:example.com' }), { status: 400, errcode: 'M_BAD_ALIAS' });
  await refuses(t, name({ alias: 'nonsense' }), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, name({ alt_aliases: ['#there:example.com'] }), { status: 400, errcode: 'M_BAD_ALIAS' });
  await alice.createAlias('#also:example.com', room);
  await name({ alias: '#here:example.com', alt_aliases: ['#also:example.com'] });
  await alice.deleteAlias('#also:example.com');
  await name({ alt_aliases: ['#also:example.com'] });
  t.ok(other);
});

t.test('the directory: entries, order, pages, search', async (t) => {
  const big = await alice.createRoom({ visibility: 'public', name: 'Big Room', topic: 'Ships and shoes' });
  await bob.join(big);
  const small = await alice.createRoom({ visibility: 'public', name: 'Small Room', room_alias_name: 'small' });
  const third = await bob.createRoom({ visibility: 'public', name: 'Third', topic: 'ships' });
  await alice.createRoom({ name: 'Private' });

  const all = await nobody.get<{ chunk: { room_id: string }[] }>(`${V3}/publicRooms`);
  t.same(all.chunk.map(({ room_id }) => room_id).sort(), [big, small, third].sort());
  t.match(all.chunk[0], {
    room_id: big,
    name: 'Big Room',
    topic: 'Ships and shoes',
    num_joined_members: 2,
    world_readable: false,
    guest_can_join: false,
    join_rule: 'public',
  });
  t.match(
    all.chunk.find(({ room_id }) => room_id === small),
    { canonical_alias: '#small:example.com' },
  );

  const seen: string[] = [];
  let page = await alice.publicRooms({ limit: 1 });
  t.notOk(page.prev_batch);
  t.equal(page.total_room_count_estimate, 3);
  for (;;) {
    seen.push(...page.chunk.map(({ room_id }) => room_id));
    if (page.next_batch === undefined) break;
    page = await alice.publicRooms({ limit: 1, since: page.next_batch });
    t.ok(page.prev_batch);
  }
  t.same(
    seen,
    all.chunk.map(({ room_id }) => room_id),
  );

  const search = async (generic_search_term: string) =>
    (await alice.publicRooms({ filter: { generic_search_term } })).chunk.map(({ name }) => name).sort();
  t.same(await search('SHIPS'), ['Big Room', 'Third']);
  t.same(await search('#small'), ['Small Room']);
  t.same(await search('nothing like it'), []);
  await refuses(t, alice.publicRooms({ since: 'nonsense' }), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.publicRooms({ limit: 'many' }), { status: 400, errcode: 'M_BAD_JSON' });
  await refuses(t, nobody.get(`${V3}/publicRooms`, { server: 'elsewhere.org' }), {
    status: 400,
    errcode: 'M_INVALID_PARAM',
  });
});

t.test("a room's entry", async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const entry = () => nobody.get(`${V3}/directory/list/room/${encodeURIComponent(room)}`);
  t.same(await entry(), { visibility: 'private' });
  await refuses(t, bob.publish(room), { status: 403, errcode: 'M_FORBIDDEN' });
  await alice.publish(room);
  t.same(await entry(), { visibility: 'public' });
  await admin.publish(room, 'private');
  t.same(await entry(), { visibility: 'private' });
  await refuses(t, alice.publish('!nowhere:example.com'), { status: 404, errcode: 'M_NOT_FOUND' });
});

t.test('createRoom', async (t) => {
  const room = await alice.createRoom({
    preset: 'trusted_private_chat',
    name: 'Name',
    topic: 'Topic',
    invite: [bob.userId],
    is_direct: true,
    creation_content: { type: 'm.space', 'm.federate': false, room_version: '1' },
    initial_state: [
      { type: 'm.room.guest_access', content: { guest_access: 'forbidden' } },
      { type: 'com.example', state_key: 'key', content: { a: 1 } },
    ],
    power_level_content_override: { events_default: 5 },
  });
  const { chunk } = await alice.messages(room, { dir: 'f', limit: 50 });
  t.same(
    chunk.map(({ type, state_key }) => `${type}|${state_key}`),
    [
      'm.room.create|',
      `m.room.member|${alice.userId}`,
      'm.room.power_levels|',
      'm.room.join_rules|',
      'm.room.history_visibility|',
      'm.room.guest_access|',
      'com.example|key',
      'm.room.name|',
      'm.room.topic|',
      `m.room.member|${bob.userId}`,
    ],
  );
  const content = (type: string, key = '') =>
    chunk.find((event) => event.type === type && event.state_key === key)?.content;
  t.same(content('m.room.create'), { type: 'm.space', 'm.federate': false, room_version: '11' });
  t.match(content('m.room.power_levels'), { users: { [alice.userId]: 100, [bob.userId]: 100 }, events_default: 5 });
  t.same(content('m.room.join_rules'), { join_rule: 'invite' });
  t.same(content('m.room.guest_access'), { guest_access: 'forbidden' });
  t.match(content('m.room.member', bob.userId), { membership: 'invite', is_direct: true });
});

t.test('createRoom that cannot be', async (t) => {
  await alice.createRoom({ room_alias_name: 'occupied' });
  for (const [why, body, status, errcode] of [
    ['a taken alias', { room_alias_name: 'occupied' }, 400, 'M_ROOM_IN_USE'],
    ['no alias at all', { room_alias_name: 'a:b' }, 400, 'M_INVALID_PARAM'],
    ['a version of old', { room_version: '1' }, 400, 'M_UNSUPPORTED_ROOM_VERSION'],
    ['a user who is nobody', { invite: ['@nobody:example.com'] }, 404, 'M_NOT_FOUND'],
    ['no user id', { invite: ['nonsense'] }, 400, 'M_BAD_JSON'],
    ['himself', { invite: [alice.userId] }, 403, 'M_FORBIDDEN'],
    ['an unknown preset', { preset: 'party' }, 400, 'M_BAD_JSON'],
    ['initial state that is no list', { initial_state: {} }, 400, 'M_BAD_JSON'],
    ['invites by e-mail', { invite_3pid: [{}] }, 400, 'M_INVALID_PARAM'],
    ['a second creation', { initial_state: [{ type: 'm.room.create', content: {} }] }, 400, 'M_INVALID_PARAM'],
    ['levels that are none', { power_level_content_override: { users: [] } }, 403, 'M_FORBIDDEN'],
    ['too much', { topic: 'x'.repeat(70_000) }, 413, 'M_TOO_LARGE'],
  ] as const) {
    await refuses(t, alice.createRoom({ room_alias_name: 'fresh', ...body }), { status, errcode }, why);
  }
  t.ok(await alice.createRoom({ room_alias_name: 'fresh' }), 'none of them left anything behind');
});

t.test('of two rooms that want one alias, one gets it', async (t) => {
  const results = await Promise.allSettled([
    alice.createRoom({ room_alias_name: 'contested' }),
    bob.createRoom({ room_alias_name: 'contested' }),
  ]);
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  t.match(results.find((result) => result.status === 'rejected')?.reason, { errcode: 'M_ROOM_IN_USE' });
});

t.test('the user directory shows whom one may know', async (t) => {
  const searcher = await server.register('searcher');
  const friend = await server.register('findme.friend');
  const speaker = await server.register('findme.speaker');
  await server.register('findme.hermit');
  const room = await searcher.createRoom({ invite: [friend.userId] });
  await friend.join(room);
  const stage = await alice.createRoom({ preset: 'public_chat' });
  await speaker.join(stage);
  await speaker.setDisplayName('100% Speaker_');

  const found = async (term: string, limit?: number) =>
    (await searcher.searchUsers(term, limit)).results.map(({ user_id }) => user_id);
  t.same(await found('FINDME'), [friend.userId, speaker.userId], 'by id');
  t.same(await found('100% sp'), [speaker.userId], 'by name');
  t.same(await found('100_'), [], 'as it is written, no wildcards');
  t.same(await found('searcher'), [], 'not himself');
  t.match(await searcher.searchUsers('speaker'), {
    limited: false,
    results: [{ user_id: speaker.userId, display_name: '100% Speaker_' }],
  });
  t.equal((await searcher.searchUsers('findme', 2)).limited, false, 'these are all');
  const cut = await searcher.searchUsers('findme', 1);
  t.same([cut.limited, cut.results.length], [true, 1]);
  await alice.setState(stage, 'm.room.join_rules', { join_rule: 'invite' });
  t.same(await found('findme'), [friend.userId], 'the room is not public any more');
  await refuses(t, searcher.post(`${V3}/user_directory/search`, {}), { status: 400, errcode: 'M_MISSING_PARAM' });
});
