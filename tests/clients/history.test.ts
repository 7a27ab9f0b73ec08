// What a client makes of a room's past: pages, redactions, edits, and members that come only when they are needed.

import t from 'tap';
import {
  bodiesIn,
  eventOf,
  logIn,
  register,
  roomOf,
  roomWith,
  sdk,
  signUp,
  start,
  startExample,
  until,
} from './harness.ts';

t.test('history', async (t) => {
  const { url } = await startExample(t);
  const [alice, bob] = [await signUp(t, url, 'alice'), await signUp(t, url, 'bob')];

  await t.test('back to the beginning, page by page', async (t) => {
    const roomId = await roomWith(alice);
    for (let number = 1; number <= 25; number++) await alice.sendTextMessage(roomId, String(number));
    const client = await start(t, await logIn(url, 'alice'), { initialSyncLimit: 5 });
    const room = await roomOf(client, roomId);
    t.same(bodiesIn(room), ['21', '22', '23', '24', '25']);
    for (let more = true; more; ) {
      more = await client.paginateEventTimeline(room.getLiveTimeline(), { backwards: true, limit: 8 });
    }
    t.same(
      bodiesIn(room),
      Array.from({ length: 25 }, (_, index) => String(index + 1)),
    );
    t.equal(room.getLiveTimeline().getEvents()[0]?.getType(), 'm.room.create');
  });

  await t.test('a redaction', async (t) => {
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendTextMessage(roomId, 'something rash');
    const seen = await eventOf(bob, roomId, event_id);
    await alice.redactEvent(roomId, event_id, undefined, { reason: 'rash' });
    await until(() => seen.isRedacted(), 'the redaction');
    t.same(seen.getContent(), {});
    t.match(seen.getUnsigned().redacted_because, { sender: alice.getUserId(), content: { reason: 'rash' } });
    const late = await start(t, await logIn(url, 'bob'));
    const event = await eventOf(late, roomId, event_id);
    t.ok(event.isRedacted(), 'and for who comes later');
    t.same(event.getContent(), {});
  });

  await t.test('an edit and a reaction', async (t) => {
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendTextMessage(roomId, 'teh');
    const seen = await eventOf(bob, roomId, event_id);
    await alice.sendEvent(roomId, sdk.EventType.RoomMessage, {
      msgtype: sdk.MsgType.Text,
      body: '* the',
      'm.new_content': { msgtype: sdk.MsgType.Text, body: 'the' },
      'm.relates_to': { rel_type: sdk.RelationType.Replace, event_id },
    });
    await until(() => seen.getContent().body === 'the', 'the edit');
    await alice.sendEvent(roomId, sdk.EventType.Reaction, {
      'm.relates_to': { rel_type: sdk.RelationType.Annotation, event_id, key: '👍' },
    });
    const room = await roomOf(bob, roomId);
    const reactions = await until(
      () => room.relations.getChildEventsForEvent(event_id, 'm.annotation', 'm.reaction'),
      'the reaction',
    );
    t.same(
      reactions.getSortedAnnotationsByKey()?.map(([key, by]) => [key, by.size]),
      [['👍', 1]],
    );
  });

  await t.test('members come lazily, and all when they are asked for', async (t) => {
    const others = await Promise.all(['carol', 'dave', 'erin'].map((name) => register(url, name)));
    const roomId = await roomWith(alice);
    for (const other of others) await other.joinRoom(roomId);
    await others[0]?.sendTextMessage(roomId, 'I, Carol');
    const client = await start(t, await logIn(url, 'alice'), { lazyLoadMembers: true, initialSyncLimit: 1 });
    const room = await roomOf(client, roomId);
    t.ok(room.getMember('@carol:example.com'), 'who spoke');
    t.notOk(room.getMember('@erin:example.com'), 'nobody else');
    t.equal(room.getJoinedMemberCount(), 4, 'they are counted');
    await room.loadMembersIfNeeded();
    t.equal(room.getJoinedMembers().length, 4);
    t.equal(room.getMember('@erin:example.com')?.membership, 'join');
  });

  await t.test('a search, and more of its results', async (t) => {
    const roomId = await roomWith(alice, bob);
    for (let number = 1; number <= 12; number++) await alice.sendTextMessage(roomId, `Marmalade ${number}`);
    await bob.sendTextMessage(roomId, 'I would rather have honey');
    const { search_categories } = await bob.searchMessageText({ query: 'marmalade 7' });
    t.match(search_categories.room_events, { count: 1, results: [{ result: { content: { body: 'Marmalade 7' } } }] });

    const found = await bob.searchRoomEvents({ term: 'marmalade' });
    t.equal(found.count, 12);
    t.same(found.highlights, ['marmalade']);
    const [latest] = found.results;
    t.same(
      latest?.context.getTimeline().map((event) => event.getContent().body),
      ['Marmalade 11', 'Marmalade 12', 'I would rather have honey'],
    );
    await bob.backPaginateRoomEventsSearch(found);
    t.same(
      found.results.map(({ context }) => context.getEvent().getContent().body),
      Array.from({ length: 12 }, (_, index) => `Marmalade ${12 - index}`),
    );
    t.notOk(found.next_batch, 'that is all');
  });

  await t.test('a filter', async (t) => {
    const roomId = await roomWith(alice);
    await alice.sendTextMessage(roomId, 'said');
    await alice.sendEvent(roomId, 'org.example.noise' as never, {} as never);
    const filter = sdk.Filter.fromJson(alice.getUserId(), '', {
      room: { timeline: { types: ['m.room.message'], limit: 3 } },
    });
    const client = await start(t, await logIn(url, 'alice'), { filter });
    const room = await roomOf(client, roomId);
    const types = room
      .getLiveTimeline()
      .getEvents()
      .map((event) => event.getType());
    t.same(types, ['m.room.message']);
    const filterId = await client.getOrCreateFilter('a name', filter);
    t.same((await client.getFilter(alice.getUserId() ?? '', filterId, false)).getDefinition(), filter.getDefinition());
  });
});
