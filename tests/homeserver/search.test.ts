// Search finds what one may see, and nothing else.

import t from 'tap';
import { openDatabase } from '../../packages/examples/homeserver/db/database.ts';
import { EventFilter } from '../../packages/examples/homeserver/filters/filter.ts';
import { latestMatches } from '../../packages/examples/homeserver/search/matches.ts';
import { SEARCH_KEYS } from '../../packages/examples/homeserver/search/searchable.ts';
import { type Client, type Json, Client as Matrix, type SearchBody } from './client.ts';
import { quiet, refuses, startServer } from './harness.ts';
import { createDatabase, onPostgres } from './postgres.ts';

const server = await startServer(t);
const alice = await server.register('alice');
const bob = await server.register('bob');
const carol = await server.register('carol');

const texts = ({ results }: SearchBody) =>
  results.map(({ result: { content } }) => content.body ?? content.name ?? content.topic);
const find = async (client: Client, search_term: string, more: Json = {}) =>
  texts(await client.search({ search_term, order_by: 'recent', ...more }));
const visibility = (history_visibility: string) => ({
  type: 'm.room.history_visibility',
  content: { history_visibility },
});
const PATH = '/_matrix/client/v3/search';

t.test('words are found, whatever their case and order; all of them have to be there', async (t) => {
  const room = await alice.createRoom({});
  const eventId = await alice.say(room, 'The quick brown Fox, jumping');
  const found = await alice.search({ search_term: 'FOX quick' });
  t.match(found, { count: 1, results: [{ result: { event_id: eventId, room_id: room, sender: alice.userId } }] });
  t.same([...found.highlights].sort(), ['fox', 'quick']);
  t.ok((found.results[0]?.rank ?? 0) > 0);
  t.notOk('context' in (found.results[0] ?? {}));
  t.notOk('next_batch' in found);
  t.same(await find(alice, 'quick hedgehog'), []);
  t.same(await find(alice, 'qui'), [], 'words, not parts of them');
  for (const nothing of ['', '?!', room]) t.same(await find(alice, nothing), [], `no word: ${nothing}`);
});

t.test('names and topics, by key', async (t) => {
  const room = await alice.createRoom({ name: 'Walrus house', topic: 'All about the walrus' });
  await alice.say(room, 'a walrus');
  const of = (...keys: string[]) => find(alice, 'walrus', { keys });
  t.same(await find(alice, 'walrus'), ['a walrus', 'All about the walrus', 'Walrus house']);
  t.same(await of('content.body'), ['a walrus']);
  t.same(await of('content.name', 'content.topic'), ['All about the walrus', 'Walrus house']);
  t.same(await of(), []);
  await alice.send(room, 'm.room.message', { body: { walrus: 'walrus' } });
  await alice.send(room, 'com.example.other', { body: 'walrus' });
  t.equal((await find(alice, 'walrus')).length, 3, 'texts of messages alone');
});

t.test('neither NUL nor a long word hinders anything', async (t) => {
  const room = await alice.createRoom({});
  await alice.say(room, 'zero\0nought');
  t.same(await find(alice, 'nought'), ['zero\0nought']);
  const long = `${'x'.repeat(5000)} naught`;
  await alice.say(room, long);
  t.same(await find(alice, 'naught'), [long], 'a word that is too long for the index');
});

t.test('the latest first, or the best', async (t) => {
  const room = await alice.createRoom({});
  for (const body of ['otter otter otter', 'otter', 'an otter and something else']) await alice.say(room, body);
  t.same(await find(alice, 'otter'), ['an otter and something else', 'otter', 'otter otter otter']);
  const best = await alice.search({ search_term: 'otter' });
  t.equal(texts(best)[0], 'otter otter otter', 'rank is the default');
  const ranks = best.results.map(({ rank }) => rank);
  t.same(
    ranks,
    ranks.toSorted((a, b) => b - a),
  );
});

t.test('pages meet, while others come in', async (t) => {
  const all = Array.from({ length: 12 }, (_, index) => `badger ${index}`);
  for (const order_by of ['recent', 'rank']) {
    const room = await alice.createRoom({});
    for (const body of all) await alice.say(room, body);
    const category = { search_term: 'badger', order_by, filter: { rooms: [room], limit: 5 } };
    const pages: SearchBody[] = [];
    do {
      pages.push(await alice.search(category, pages.at(-1)?.next_batch));
      await alice.say(room, 'a late badger');
    } while (pages.at(-1)?.next_batch !== undefined);
    t.same(
      pages.map(({ count, results }) => [count, results.length]),
      [
        [12, 5],
        [12, 5],
        [12, 2],
      ],
    );
    t.same(pages.flatMap(texts), all.toReversed(), order_by);
  }
  t.equal((await find(alice, 'badger', { filter: { limit: 0 } })).length, 1, 'one at least');
});

t.test("other people's rooms are not searched, forgotten ones no more", async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat' });
  await alice.say(room, 'a secret pangolin');
  t.same(await find(bob, 'pangolin'), []);
  t.same(await find(bob, 'pangolin', { filter: { rooms: [room] } }), [], 'whoever asks for them');
  await alice.invite(room, bob.userId);
  t.same(await find(bob, 'pangolin'), [], 'nor those one is only invited to');
  await bob.join(room);
  t.same(await find(bob, 'pangolin'), ['a secret pangolin']);
  await bob.leave(room);
  await alice.say(room, 'a pangolin behind your back');
  t.same(await find(bob, 'pangolin'), ['a secret pangolin'], 'as it was when one left');
  await bob.forget(room);
  t.same(await find(bob, 'pangolin'), []);
});

t.test('history visibility holds, in the context too', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', initial_state: [visibility('joined')] });
  await alice.say(room, 'heron before');
  await bob.join(room);
  await alice.say(room, 'heron during');
  await bob.leave(room);
  await alice.say(room, 'heron after');
  t.same(await find(bob, 'heron'), ['heron during']);
  const { count, results } = await bob.search({ search_term: 'heron', event_context: {} });
  t.equal(count, 1);
  const { events_before = [], events_after = [] } = results[0]?.context ?? {};
  t.notMatch(JSON.stringify([events_before, events_after]), /heron/);
  t.equal((await find(alice, 'heron')).length, 3);
});

t.test('what is redacted is not found', async (t) => {
  const room = await alice.createRoom({ topic: 'stoat farming' });
  const eventId = await alice.say(room, 'rash words of a stoat');
  await alice.redact(room, eventId);
  t.same(await find(alice, 'stoat'), ['stoat farming']);
  t.same(await find(alice, 'rash'), []);
});

t.test('a shadow-banned user finds what he said, and nobody else does', async (t) => {
  server.fake.answers = {
    checkRegistrationForSpam: () => ({ behaviour: 'shadow_ban', module: 'fake', failures: [], observed: [] }),
  };
  const ghost = await server.register('ghost');
  server.fake.answers = {};
  const room = await alice.createRoom({ preset: 'public_chat' });
  const eventId = await alice.say(room, 'a wombat');
  await ghost.join(room);
  await ghost.say(room, 'boo, wombat');
  await ghost.redact(room, eventId).catch(() => undefined);
  t.same(await find(ghost, 'wombat'), ['boo, wombat', 'a wombat']);
  t.same(await find(alice, 'wombat'), ['a wombat']);
  t.same(await find(alice, 'boo'), []);
});

t.test('filters', async (t) => {
  const [one, two] = [await alice.createRoom({ preset: 'public_chat' }), await alice.createRoom({ topic: 'lynx two' })];
  await carol.join(one);
  await alice.say(one, 'lynx one');
  await carol.say(one, 'lynx of carol');
  await alice.send(one, 'm.room.message', { msgtype: 'm.image', body: 'lynx.png lynx', url: 'mxc://example.com/a' });
  const filtered = (filter: Json) => find(alice, 'lynx', { filter });
  const all = ['lynx.png lynx', 'lynx of carol', 'lynx one', 'lynx two'];
  t.same(await filtered({}), all);
  t.same(await filtered({ rooms: [two] }), ['lynx two']);
  t.same(await filtered({ not_rooms: [two] }), all.slice(0, 3));
  t.same(await filtered({ rooms: [] }), []);
  t.same(await filtered({ senders: [carol.userId] }), ['lynx of carol']);
  t.same(await filtered({ not_senders: [alice.userId] }), ['lynx of carol']);
  t.same(await filtered({ types: ['m.room.t*'] }), ['lynx two']);
  t.same(await filtered({ not_types: ['m.room.message'] }), ['lynx two']);
  t.same(await filtered({ contains_url: true }), ['lynx.png lynx']);
  t.same(await filtered({ contains_url: false, limit: 2 }), all.slice(1, 3), 'a page is filled');
});

t.test('no more at once than the server gives', async (t) => {
  const room = await alice.createRoom({});
  for (let number = 0; number < 55; number++) await alice.say(room, `mole ${number}`);
  const found = await alice.search({
    search_term: 'mole',
    filter: { limit: 1000 },
    event_context: { before_limit: 1000, after_limit: 1000 },
  });
  t.equal(found.results.length, 50);
  t.equal(found.results[25]?.context?.events_before.length, 20);
  t.equal(found.results[25]?.context?.events_after.length, 20);
});

t.test('context, state and groups', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'old' });
  await carol.join(room);
  await alice.setDisplayName('Alice');
  for (const body of ['1', '2', '3', 'ibex', '4', '5', '6']) await alice.say(room, body);
  await carol.say(room, 'ibex again');
  const found = await alice.search({
    search_term: 'ibex',
    order_by: 'recent',
    event_context: { before_limit: 2, after_limit: 1, include_profile: true },
    include_state: true,
    groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
  });
  const [again, first] = found.results;
  const said = (events: readonly { content: Json }[] = []) => events.map(({ content }) => content.body);
  t.same(said(first?.context?.events_before), ['3', '2'], 'the nearest first');
  t.same(said(first?.context?.events_after), ['4']);
  t.match(first?.context?.profile_info, { [alice.userId]: { displayname: 'Alice' } });
  t.match(again?.context?.profile_info, { [carol.userId]: {}, [alice.userId]: {} });
  const { chunk } = await alice.messages(room, { dir: 'b', from: first?.context?.start, limit: 1 });
  t.same(said(chunk), ['1'], '/messages goes on where the context ends');
  const state = new Set(found.state?.[room]?.map(({ type }) => type));
  for (const type of ['m.room.create', 'm.room.member', 'm.room.topic']) t.ok(state.has(type), type);
  const ids = found.results.map(({ result }) => result.event_id);
  t.match(found.groups, {
    room_id: { [room]: { order: 0, results: ids } },
    sender: { [carol.userId]: { order: 0, results: [ids[0]] }, [alice.userId]: { order: 1, results: [ids[1]] } },
  });
  const plain = await alice.search({ search_term: 'ibex', event_context: {} });
  t.notOk('profile_info' in (plain.results[0]?.context ?? {}));
  t.notOk('state' in plain || 'groups' in plain);
  const lazy = await alice.search({
    search_term: 'again',
    include_state: true,
    filter: { lazy_load_members: true, rooms: [room] },
  });
  const members = lazy.state?.[room]?.filter(({ type }) => type === 'm.room.member');
  t.same(
    members?.map(({ state_key }) => state_key),
    [carol.userId],
  );
});

t.test('who left gets the state as it was', async (t) => {
  const room = await alice.createRoom({ preset: 'public_chat', topic: 'then' });
  await bob.join(room);
  await alice.say(room, 'a gecko');
  await bob.leave(room);
  await alice.setState(room, 'm.room.topic', { topic: 'now' });
  const { state } = await bob.search({ search_term: 'gecko', include_state: true });
  t.match(state?.[room]?.find(({ type }) => type === 'm.room.topic')?.content, { topic: 'then' });
});

t.test('bad input', async (t) => {
  const refused = (category: Json, errcode = 'M_BAD_JSON', next?: string) =>
    refuses(t, alice.search(category, next), { status: 400, errcode });
  await refused({}, 'M_MISSING_PARAM');
  await refused({ search_term: 7 });
  await refused({ search_term: 'a\0b' });
  await refused({ search_term: 'ä'.repeat(128) });
  await refused({ search_term: 'a', keys: ['content.formatted_body'] });
  await refused({ search_term: 'a', order_by: 'length' });
  await refused({ search_term: 'a', filter: [] });
  await refused({ search_term: 'a', filter: { limit: -1 } });
  await refused({ search_term: 'a', event_context: { before_limit: 1.5 } });
  await refused({ search_term: 'a', groupings: { group_by: [{ key: 'type' }] } });
  await refused({ search_term: 'a' }, 'M_INVALID_PARAM', 'nonsense');
  await refuses(t, alice.post(PATH, {}), { status: 400, errcode: 'M_MISSING_PARAM' });
  await refuses(t, alice.post(PATH, { search_categories: [] }), { status: 400, errcode: 'M_BAD_JSON' });
  t.same(await alice.post(PATH, { search_categories: {} }), { search_categories: {} }, 'nothing is asked for');
  await refuses(t, new Matrix(server.url).search({ search_term: 'a' }), { status: 401, errcode: 'M_MISSING_TOKEN' });
  t.same(await find(alice, '\ud800 fox'), ['The quick brown Fox, jumping'], 'half of a character is no word');
  t.same(await find(alice, `fox ' \\ | & ! ( ) : *`), ['The quick brown Fox, jumping'], 'nor is anything an operator');
  const far = await alice.search({ search_term: 'fox' }, 'f999999999999999_0');
  t.equal(far.count, 1);
  t.same((await alice.search({ search_term: 'fox' }, 'f0_0')).results, []);
});

t.test('a word that is everywhere, and one that is once', async (t) => {
  const place = onPostgres ? { url: await createDatabase() } : { folder: undefined };
  const { db, close } = await openDatabase(place, quiet);
  t.teardown(close);
  const EVENTS = 30_000;
  const ROOM = "!it's \\ odd:example.com";
  const quoted = `'${ROOM.replace("'", "''")}'`;
  await db.execute(
    `insert into rooms values (${quoted}, '@a:b', '11', false, false, 0), ('!other', '@a:b', '11', false, false, 0)`,
  );
  await db.execute(`
    insert into events (event_id, room_id, type, sender, origin_server_ts, content)
      select '$' || n, case when n % 2 = 0 then ${quoted} else '!other' end, 'm.room.message', '@a:b', n, '{}'
      from generate_series(1, ${EVENTS}) as n`);
  await db.execute(`
    insert into searchable (position, key, words)
      select position, 'content.body',
        to_tsvector('simple', case when position = 2 then 'often once' else 'often' end) || array_to_tsvector(array[room_id])
      from events`);
  const query = (term: string, roomIds: readonly string[] = [ROOM], filter = new EventFilter()) => ({
    term,
    keys: SEARCH_KEYS,
    viewer: '@a:b',
    filter,
    rooms: new Map(roomIds.map((roomId) => [roomId, [[1, EVENTS]] as const])),
  });

  const seen: number[] = [];
  for (let until: number | undefined = EVENTS; until !== undefined; ) {
    const matches = await latestMatches(db, query('often'), until);
    t.ok(matches.found.length < 5000, 'not all at once');
    seen.push(...matches.found.map(({ position }) => position));
    until = matches.until;
  }
  t.same(
    seen,
    Array.from({ length: EVENTS / 2 }, (_, index) => EVENTS - 2 * index),
    'each one, the latest first',
  );
  const once = await latestMatches(db, query('once'), EVENTS);
  t.match(once, { found: [{ position: 2, roomId: ROOM }], until: undefined });
  t.same((await latestMatches(db, query('once', ['!other']), EVENTS)).found, []);
  t.equal((await latestMatches(db, query('odd'), EVENTS)).found.length, 0, 'the id of a room is no word');

  const nobodys = await latestMatches(db, query('often', [ROOM], new EventFilter({ senders: ['@nobody:b'] })), EVENTS);
  t.same(nobodys.found, []);
  t.ok(nobodys.until, 'and not for ever');

  const many = Array.from({ length: 5000 }, (_, index) => `!room${index}:example.com`);
  t.equal((await latestMatches(db, query('once', [...many, ROOM]), EVENTS)).found.length, 1, 'who is in many rooms');
});
