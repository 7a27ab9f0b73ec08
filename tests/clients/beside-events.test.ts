// What a client hears of beside events: what its user keeps on the server and has on the next device, who is there, who is
// typing, who has read what.

import t from 'tap';
import { eventOf, logIn, roomOf, roomWith, sdk, signUp, start, startExample, until } from './harness.ts';

t.test('beside events', async (t) => {
  const { url } = await startExample(t);
  const [alice, bob] = [await signUp(t, url, 'alice'), await signUp(t, url, 'bob')];
  const aliceId = alice.getUserId() ?? '';
  const bobId = bob.getUserId() ?? '';
  const roomId = await roomWith(alice, bob);
  const room = await roomOf(alice, roomId);

  await t.test('presence', async (t) => {
    // What a client says of itself with each of its requests.
    await bob.setSyncPresence(sdk.SetPresence.Unavailable);
    await bob.setPresence({ presence: 'unavailable', status_msg: 'at tea' });
    const user = await until(() => {
      const seen = alice.getUser(bobId);
      return seen?.presence === 'unavailable' && seen;
    }, 'that Bob is away');
    t.equal(user.presenceStatusMsg, 'at tea');
    t.match(await alice.getPresence(bobId), { presence: 'unavailable', status_msg: 'at tea' });
  });

  await t.test('typing', async () => {
    const isTyping = () => room.getMember(bobId)?.typing;
    await bob.sendTyping(roomId, true, 20_000);
    await until(isTyping, 'that Bob types');
    await bob.sendTyping(roomId, false, 0);
    await until(() => !isTyping(), 'that Bob has ended');
  });

  await t.test('receipts and unread messages', async (t) => {
    const { event_id: first } = await alice.sendTextMessage(roomId, 'one');
    const { event_id: second } = await alice.sendTextMessage(roomId, `two, ${bobId}`);
    const bobs = await roomOf(bob, roomId);
    const event = await eventOf(bob, roomId, second);
    await until(() => bobs.getUnreadNotificationCount() === 2, 'two unread messages');
    t.match(bob.getPushActionsForEvent(event), { notify: true });

    await bob.sendReadReceipt(event);
    await until(() => room.getEventReadUpTo(bobId) === second, 'that Bob has read both');
    t.ok(room.hasUserReadEvent(bobId, first));
    await until(() => bobs.getUnreadNotificationCount() === 0, 'that nothing is unread');
  });

  await t.test('a private receipt and the read marker are one’s own', async (t) => {
    const { event_id } = await bob.sendTextMessage(roomId, 'three');
    const event = await eventOf(alice, roomId, event_id);
    await alice.setRoomReadMarkers(roomId, event_id, undefined, event);
    await until(() => room.getAccountData('m.fully_read')?.getContent().event_id === event_id, 'the marker');
    const { event_id: next } = await bob.sendTextMessage(roomId, 'four');
    // By then, what the others hear of Alice's reading has passed, too.
    const bobs = await roomOf(bob, roomId);
    await eventOf(bob, roomId, next);
    await bob.sendTyping(roomId, true, 5_000);
    await until(() => room.getMember(bobId)?.typing, 'a later sync');
    t.not(bobs.getEventReadUpTo(aliceId), event_id);
    t.equal(room.getReadReceiptForUserId(aliceId, true, sdk.ReceiptType.ReadPrivate)?.eventId, event_id);
  });

  const second = await start(t, await logIn(url, 'alice'));

  await t.test('account data, of the user and of a room', async (t) => {
    const direct = { '@bob:example.com': [roomId] };
    await alice.setAccountData('m.direct' as never, direct as never);
    await until(() => second.getAccountData('m.direct' as never), 'the account data');
    t.same(second.getAccountData('m.direct' as never)?.getContent(), direct);
    t.same(await second.getAccountDataFromServer('m.direct' as never), direct);
    await second.setRoomAccountData(roomId, 'org.example.colour', { colour: 'green' });
    const room = await roomOf(alice, roomId);
    await until(() => room.getAccountData('org.example.colour')?.getContent().colour === 'green', 'the room’s');
    t.equal(await alice.getAccountDataFromServer('org.example.nothing' as never), null);
  });

  await t.test('tags', async (t) => {
    const room = await roomOf(second, roomId);
    await alice.setRoomTag(roomId, 'm.favourite', { order: 0.5 });
    await until(() => room.tags['m.favourite'], 'the tag');
    t.same(room.tags, { 'm.favourite': { order: 0.5 } });
    await second.deleteRoomTag(roomId, 'm.favourite');
    await until(() => !alice.getRoom(roomId)?.tags['m.favourite'], 'that the tag is gone');
  });

  await t.test('push rules', async (t) => {
    await alice.setRoomMutePushRule('global', roomId, true);
    await until(() => second.getRoomPushRule('global', roomId), 'the rule');
    t.match(second.getRoomPushRule('global', roomId), { rule_id: roomId, enabled: true });
    await second.setPushRuleEnabled('global', sdk.PushRuleKind.Override, '.m.rule.master', true);
    const master = () => alice.pushRules?.global.override?.find(({ rule_id }) => rule_id === '.m.rule.master');
    await until(() => master()?.enabled, 'that nothing notifies');
  });

  await t.test('ignored users', async (t) => {
    await alice.setIgnoredUsers(['@nuisance:example.com']);
    await until(() => second.isUserIgnored('@nuisance:example.com'), 'the list');
    t.same(second.getIgnoredUsers(), ['@nuisance:example.com']);
  });
});
