// Single events: what of a room's history is for whom, what is around an event and what relates to it, and what a
// redaction leaves of it.

import t from 'tap';
import { bodies, type Client, joinedRoom } from './client.ts';
import { refuses, startServer } from './harness.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const carol = await server.register('carol');

const notFound = { status: 404, errcode: 'M_NOT_FOUND' };
const visibility = (history_visibility: string) => ({
  type: 'm.room.history_visibility',
  content: { history_visibility },
});

t.test('an event, as its sender and as another', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const id = await alice.send(room, 'm.room.message', { body: 'hello' }, 'mine');
  const shown = {
    event_id: id,
    room_id: room,
    type: 'm.room.message',
    sender: alice.userId,
    content: { body: 'hello' },
  };
  t.match(await alice.event(room, id), { ...shown, unsigned: { transaction_id: 'mine' } });
  t.match(await bob.event(room, id), { ...shown, unsigned: { transaction_id: undefined } });
  for (const key of ['prev_events', 'auth_events', 'hashes', 'signatures', 'depth']) {
    t.notOk(key in (await bob.event(room, id)), `${key} is for servers`);
  }
  await refuses(t, alice.event(room, '$nothing'), notFound);
  const elsewhere = await alice.createRoom({});
  await refuses(t, alice.event(elsewhere, id), notFound, 'an event of another room');
  await refuses(t, carol.event(room, id), notFound, 'who is not there');
});

t.test('event, context, relations and messages show the same to everybody, by the time of the event', async (t) => {
  for (const [kind, expected] of [
    ['world_readable', { bob: 'before invited joined left', carol: 'before invited joined left' }],
    ['shared', { bob: 'before invited joined', carol: '' }],
    ['invited', { bob: 'invited joined', carol: '' }],
    ['joined', { bob: 'joined', carol: '' }],
  ] as const) {
    const room = await alice.createRoom({ initial_state: [visibility(kind)] });
    const before = await alice.say(room, 'before');
    const ids: Record<string, string> = { before };
    await alice.invite(room, bob.userId);
    ids.invited = await alice.say(room, 'invited');
    await bob.join(room);
    const joined = await alice.say(room, 'joined');
    ids.joined = joined;
    await bob.leave(room);
    ids.left = await alice.say(room, 'left');
    await alice.send(room, 'm.room.message', {
      body: 'about it',
      'm.relates_to': { rel_type: 'm.reference', event_id: before },
    });

    const sees = async (client: Client, ask: (client: Client, id: string) => Promise<unknown>) => {
      const seen: string[] = [];
      for (const [name, id] of Object.entries(ids))
        await ask(client, id).then(
          () => seen.push(name),
          () => undefined,
        );
      return seen.join(' ');
    };
    for (const [client, wanted] of [
      [bob, expected.bob],
      [carol, expected.carol],
      [alice, 'before invited joined left'],
    ] as const) {
      t.equal(await sees(client, (each, id) => each.event(room, id)), wanted, `${kind}: event`);
      t.equal(await sees(client, (each, id) => each.context(room, id)), wanted, `${kind}: context`);
      t.equal(await sees(client, (each, id) => each.relations(room, id)), wanted, `${kind}: relations`);
      const { chunk } = await client.messages(room, { dir: 'f', limit: 100 }).catch(() => ({ chunk: [] }));
      t.equal(
        bodies(chunk)
          .filter((body) => body !== 'about it')
          .join(' '),
        wanted,
        `${kind}: messages`,
      );
    }
    if (expected.bob.includes('joined')) {
      const { events_before, events_after } = await bob.context(room, joined, 100);
      const around = bodies([...events_before, ...events_after]);
      t.same(
        around.filter((body) => !expected.bob.includes(String(body)) && body !== 'about it'),
        [],
        `${kind}: around`,
      );
    }
    const related = (await bob.relations(room, before).catch(() => ({ chunk: [] }))).chunk;
    t.equal(related.length, kind === 'world_readable' ? 1 : 0, `${kind}: what was said after he left`);
  }
});

t.test('the invited read nothing before they join, but see their invite', async (t) => {
  const room = await alice.createRoom({});
  const said = await alice.say(room, 'secret');
  const invite = await alice.setState(room, 'm.room.member', { membership: 'invite' }, bob.userId);
  t.match(await bob.event(room, invite), { content: { membership: 'invite' } });
  await refuses(t, bob.event(room, said), notFound);
  await refuses(t, bob.messages(room), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, bob.state(room), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, bob.getState(room, 'm.room.create'), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, bob.members(room), { status: 403, errcode: 'M_FORBIDDEN' });
});

t.test('context: as much before as after, and the state behind the last', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  const ids: string[] = [];
  for (let i = 1; i <= 5; i++) ids.push(await alice.say(room, `m${i}`));
  await alice.setState(room, 'm.room.topic', { topic: 'later' });
  for (let i = 6; i <= 9; i++) ids.push(await alice.say(room, `m${i}`));

  const context = await alice.context(room, ids[3] ?? '', 4);
  t.equal(context.event.content.body, 'm4');
  t.same(bodies(context.events_before), ['m3', 'm2'], 'the nearest first');
  t.same(bodies(context.events_after), ['m5']);
  t.equal(context.events_after[1]?.type, 'm.room.topic');
  t.ok(context.state.some(({ type }) => type === 'm.room.topic'));
  t.same(bodies((await alice.messages(room, { dir: 'b', from: context.start, limit: 2 })).chunk), ['m1']);
  t.same(bodies((await alice.messages(room, { dir: 'f', from: context.end, limit: 2 })).chunk), ['m6', 'm7']);

  const alone = await alice.context(room, ids[0] ?? '', 0);
  t.same([alone.events_before, alone.events_after], [[], []]);
  t.notOk(
    alone.state.some(({ type }) => type === 'm.room.topic'),
    'as it was then',
  );
  t.equal((await alice.context(room, ids[4] ?? '')).events_before.length, 5, 'ten by default');
});

t.test('relations', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const root = await alice.say(room, 'root');
  const relate = (client: Client, event_id: string, rel_type: string, type = 'm.room.message', more = {}) =>
    client.send(room, type, { 'm.relates_to': { rel_type, event_id, ...more } });
  const reply = await relate(bob, root, 'm.thread');
  const liked = await relate(bob, root, 'm.annotation', 'm.reaction', { key: '👍' });
  const edit = await relate(alice, reply, 'm.replace');
  await relate(bob, '$elsewhere', 'm.thread');
  for (const nonsense of ['nonsense', { event_id: root }, { event_id: 7, rel_type: 'm.thread' }]) {
    await bob.send(room, 'm.room.message', { 'm.relates_to': nonsense });
  }
  await relate(bob, root, 'm.thread\0');
  await relate(bob, '$a\0b', 'm.thread');

  const ids = async (...args: Parameters<Client['relations']>) =>
    (await alice.relations(...args)).chunk.map(({ event_id }) => event_id);
  t.same(await ids(room, root), [liked, reply], 'the latest first');
  t.same(await ids(room, root, [], { dir: 'f' }), [reply, liked]);
  t.same(await ids(room, root, ['m.thread']), [reply]);
  t.same(await ids(room, root, ['m.annotation', 'm.reaction']), [liked]);
  t.same(await ids(room, root, ['m.annotation', 'm.room.message']), []);
  t.same(await ids(room, root, [], { recurse: 'true' }), [edit, liked, reply]);
  t.same(await ids(room, root, ['m.replace'], { recurse: 'true' }), [edit]);
  t.equal((await alice.relations(room, root, [], { recurse: 'true' })).recursion_depth, 3);

  const first = await alice.relations(room, root, [], { limit: 1 });
  t.match(first, { chunk: [{ event_id: liked }], next_batch: String, prev_batch: undefined });
  const second = await alice.relations(room, root, [], { limit: 1, from: first.next_batch });
  t.match(second, { chunk: [{ event_id: reply }], next_batch: undefined, prev_batch: first.next_batch });

  await bob.redact(room, liked);
  t.same(await ids(room, root), [reply], 'what is redacted relates to nothing');
  const elsewhere = await alice.createRoom({});
  await relate(alice, root, 'm.thread');
  const away = await alice.send(elsewhere, 'm.room.message', {
    'm.relates_to': { rel_type: 'm.thread', event_id: root },
  });
  await relate(alice, away, 'm.thread');
  t.equal((await ids(room, root, [], { recurse: 'true' })).length, 3, 'nothing comes by way of another room');
  await refuses(t, alice.relations(room, '$nothing'), notFound);
  await refuses(t, alice.relations(room, 'nonsense'), notFound);
  await refuses(t, alice.relations(room, '$a\0b'), { status: 400, errcode: 'M_INVALID_PARAM' });
  await refuses(t, alice.relations(room, root, [], { dir: 'x' }), { status: 400, errcode: 'M_INVALID_PARAM' });
});

t.test('what a redaction leaves, wherever one looks', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  await bob.sync();
  const id = await bob.send(room, 'm.room.message', { msgtype: 'm.text', body: 'oops' });
  const redaction = await bob.redact(room, id, 'typo');
  const because = {
    event_id: redaction,
    type: 'm.room.redaction',
    sender: bob.userId,
    redacts: id,
    content: { redacts: id, reason: 'typo' },
  };
  const left = { event_id: id, sender: bob.userId, content: {}, unsigned: { redacted_because: because } };
  const { timeline } = joinedRoom(await bob.sync(), room);
  const { chunk } = await alice.messages(room);
  for (const [where, event] of [
    ['sync', timeline.events.find(({ event_id }) => event_id === id)],
    ['messages', chunk.find(({ event_id }) => event_id === id)],
    ['event', await alice.event(room, id)],
    ['context', (await alice.context(room, id)).event],
  ] as const) {
    t.match(event, left, where);
    t.same(event?.content, {}, where);
  }
  t.match(await alice.event(room, redaction), because);
});

t.test('what a redaction keeps, type by type', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', name: 'Name' });
  await bob.join(room);
  const redacted = async (type: string, content: Record<string, unknown>, stateKey = '', by = alice) => {
    const id = await by.setState(room, type, content, stateKey);
    await alice.redact(room, id);
    const now = await alice.getState(room, type, stateKey);
    t.same((await alice.event(room, id)).content, now, `${type}: the state shows the same`);
    return now;
  };
  t.same(await redacted('m.room.name', { name: 'Other' }), {});
  t.same(await redacted('m.room.history_visibility', { history_visibility: 'joined', more: 1 }), {
    history_visibility: 'joined',
  });
  const rules = { join_rule: 'restricted', allow: [{ type: 'm.room_membership', room_id: room }] };
  t.same(await redacted('m.room.join_rules', { ...rules, more: 1 }), rules);
  t.same(await redacted('m.room.member', { membership: 'join', displayname: 'Bobby' }, bob.userId, bob), {
    membership: 'join',
  });
  const levels = { ...(await alice.getState(room, 'm.room.power_levels')), invite: 10 };
  t.same(await redacted('m.room.power_levels', { ...levels, notifications: { room: 20 } }), levels);
  t.same(await redacted('com.example.thing', { a: 1 }), {});
  await alice.say(room, 'power is where it was');
});

t.test('a redaction is redacted, and still says what it redacted', async (t) => {
  const room = await alice.createRoom({});
  const id = await alice.say(room, 'one');
  const first = await alice.redact(room, id, 'a reason that nobody shall read');
  await alice.redact(room, first);
  t.same((await alice.event(room, first)).content, { redacts: id });
  t.match(await alice.event(room, id), { content: {}, unsigned: { redacted_because: { event_id: first } } });
});

t.test('a redaction through /send is one, and is checked as one', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await bob.join(room);
  const hers = await alice.say(room, 'hers');
  const his = await bob.say(room, 'his');
  await refuses(t, bob.send(room, 'm.room.redaction', { redacts: hers }), { status: 403, errcode: 'M_FORBIDDEN' });
  await refuses(t, bob.send(room, 'm.room.redaction', {}), { status: 400, errcode: 'M_BAD_JSON' });
  await bob.send(room, 'm.room.redaction', { redacts: his });
  t.same((await alice.event(room, his)).content, {});
  t.match((await alice.event(room, hers)).content, { body: 'hers' });
});

t.test('what no redaction may take', async (t) => {
  const room = await alice.createRoom({});
  const create = (await alice.state(room)).find(({ type }) => type === 'm.room.create')?.event_id ?? '';
  await refuses(t, alice.redact(room, create), { status: 403, errcode: 'M_FORBIDDEN' });
  const acl = await alice.setState(room, 'm.room.server_acl', { allow: ['*'] });
  await refuses(t, alice.redact(room, acl), { status: 403, errcode: 'M_FORBIDDEN' });
  const elsewhere = await alice.createRoom({});
  await refuses(t, alice.redact(elsewhere, acl), notFound);
});

t.test('rooms and their members', async (t) => {
  const dora = await server.register('dora');
  t.same(await dora.joinedRooms(), { joined_rooms: [] });
  const room = await alice.createRoom({ preset: 'public_chat', invite: [carol.userId] });
  await dora.setDisplayName('Dora');
  await dora.join(room);
  await bob.join(room);
  await bob.leave(room);
  t.same(await dora.joinedRooms(), { joined_rooms: [room] });
  t.same(await dora.joinedMembers(room), { joined: { [alice.userId]: {}, [dora.userId]: { display_name: 'Dora' } } });
  await refuses(t, bob.joinedMembers(room), { status: 403, errcode: 'M_FORBIDDEN' }, 'who has left');
  await refuses(t, carol.joinedMembers(room), { status: 403, errcode: 'M_FORBIDDEN' }, 'who is invited');
});
