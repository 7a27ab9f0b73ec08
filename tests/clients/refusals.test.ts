// What a module refuses reaches the application as the library's MatrixError: status, errcode, message, and whatever else
// the module says.

import t from 'tap';
import { anonymous, PASSWORD, refusalOf, roomOf, roomWith, sdk, signUp, startExample, until } from './harness.ts';

t.test('refusals by modules', async (t) => {
  const { url } = await startExample(t, { module: 'quota.ts' });
  const [alice, bob] = [await signUp(t, url, 'alice'), await signUp(t, url, 'bob')];
  const forbidden = (error: string) => ({
    status: 403,
    errcode: 'M_FORBIDDEN',
    data: { errcode: 'M_FORBIDDEN', error },
  });

  await t.test('word-list: a message, which the client then has as not sent', async (t) => {
    const roomId = await roomWith(alice, bob);
    const room = await roomOf(alice, roomId);
    const gambling = forbidden('Advertising for gambling is not welcome here');
    t.match(await refusalOf(alice.sendTextMessage(roomId, 'Free spins for all')), gambling);
    const events = room.getLiveTimeline().getEvents();
    const echo = events.find(({ status }) => status === sdk.EventStatus.NOT_SENT);
    t.match(echo?.error, { errcode: 'M_FORBIDDEN' }, 'it can say why');
    t.match(await refusalOf(alice.setRoomTopic(roomId, 'our casino')), gambling);
    t.match(await refusalOf(alice.createRoom({ name: 'Casino' })), gambling);
  });

  await t.test('word-list: a search finds nobody with such a name', async (t) => {
    await roomWith(alice, bob);
    const found = async () => (await alice.searchUserDirectory({ term: 'bob' })).results.map(({ user_id }) => user_id);
    t.same(await found(), [bob.getUserId()]);
    await bob.setDisplayName('Casino Bob');
    t.same(await found(), []);
    await bob.setDisplayName('Bob');
  });

  await t.test('domain-invites: an invitation, and the directory', async (t) => {
    const roomId = await roomWith(alice);
    const evil = forbidden('Users of example.com may not invite users of evil.example');
    t.match(await refusalOf(alice.invite(roomId, '@mallory:evil.example')), evil);
    t.match(await refusalOf(alice.createRoom({ invite: ['@mallory:evil.example'] })), evil);
    const listing = alice.setRoomDirectoryVisibility(roomId, sdk.Visibility.Public);
    t.match(await refusalOf(listing), forbidden('Only admins may list rooms in the directory'));
  });

  await t.test('signup-and-media: a registration', async (t) => {
    const auth = { type: 'm.login.dummy' };
    const signUp = anonymous(url).registerRequest({ username: 'spammy', password: PASSWORD, auth });
    t.match(await refusalOf(signUp), {
      status: 429,
      errcode: 'M_UNKNOWN',
      data: { error: 'Rate limited' },
    });
  });

  await t.test('signup-and-media: who is shadow-banned sees what he does, and nobody else does', async (t) => {
    const ghost = await signUp(t, url, 'ghostly');
    const roomId = await roomWith(alice, bob);
    await ghost.joinRoom(roomId);
    const his = await roomOf(ghost, roomId);
    const { event_id } = await ghost.sendTextMessage(roomId, 'boo');
    await until(() => his.findEventById(event_id)?.status === null && his.findEventById(event_id), 'his own message');
    // What comes after it has come to Bob, so that it would have, too.
    const { event_id: later } = await alice.sendTextMessage(roomId, 'a quiet evening');
    await until(() => his.findEventById(later), 'he hears the others');
    const bobs = await roomOf(bob, roomId);
    await until(() => bobs.findEventById(later), 'Bob hears Alice');
    t.notOk(bobs.findEventById(event_id));
    t.notOk(bobs.getMember(ghost.getUserId() ?? ''), 'nor is he there');
    t.equal(his.getMember(ghost.getUserId() ?? '')?.membership, 'join');
  });

  await t.test('freeze-room: a frozen room can be read and left', async (t) => {
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendTextMessage(roomId, 'before the frost');
    await alice.sendStateEvent(roomId, 'org.example.room.frozen' as never, { frozen: true } as never, '');
    const room = await roomOf(bob, roomId);
    await until(
      () => room.currentState.getStateEvents('org.example.room.frozen', '')?.getContent().frozen,
      'that it is frozen',
    );
    const frozen = forbidden('This room is frozen');
    t.match(await refusalOf(bob.sendTextMessage(roomId, 'anybody?')), frozen);
    t.match(await refusalOf(alice.setRoomName(roomId, 'Ice')), frozen);
    t.match(await refusalOf(alice.redactEvent(roomId, event_id)), frozen);
    const { chunk } = await bob.createMessagesRequest(roomId, null, 2, sdk.Direction.Backward);
    t.equal(chunk[1]?.event_id, event_id, 'it is read');
    await bob.leave(roomId);
    await roomOf(bob, roomId, 'leave');
    t.match(await refusalOf(bob.joinRoom(roomId)), frozen);
  });

  await t.test('rewrite-event: what arrives is what the module made of it, with its sender, too', async (t) => {
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendTextMessage(roomId, 'https://example.org/?utm_source=mail&id=7');
    for (const client of [alice, bob]) {
      const room = await roomOf(client, roomId);
      const event = await until(() => {
        const found = room.findEventById(event_id);
        return found?.status === null && found;
      }, 'the message');
      t.equal(event.getContent().body, 'https://example.org/?id=7');
      t.equal(room.currentState.getStateEvents('m.room.guest_access', '')?.getContent().guest_access, 'forbidden');
    }
  });

  await t.test('a refusal with an errcode and fields of its own', async (t) => {
    const roomId = await roomWith(alice);
    t.match(await refusalOf(alice.sendTextMessage(roomId, 'one too many')), {
      status: 403,
      errcode: 'ORG_EXAMPLE_QUOTA',
      data: { error: 'You have said enough for today', 'org.example.messages_left': 0, resets: 'tomorrow' },
    });
  });
});
