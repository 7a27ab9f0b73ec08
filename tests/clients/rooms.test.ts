// Two people find each other and talk.

import t from 'tap';
import { bodiesIn, eventOf, refusalOf, roomOf, roomWith, sdk, signUp, startExample, until } from './harness.ts';

t.test('rooms', async (t) => {
  const { url } = await startExample(t);
  const [alice, bob, admin] = [
    await signUp(t, url, 'alice'),
    await signUp(t, url, 'bob'),
    await signUp(t, url, 'admin'),
  ];
  const bobId = bob.getUserId() ?? '';

  await t.test('an invitation, accepted and declined', async (t) => {
    const { room_id } = await alice.createRoom({ name: 'Tea', invite: [bobId], preset: sdk.Preset.PrivateChat });
    const invited = await roomOf(bob, room_id, 'invite');
    t.equal(invited.name, 'Tea', 'the invitation says to what');
    t.equal(invited.getDMInviter(), undefined);
    await bob.joinRoom(room_id);
    const room = await roomOf(bob, room_id);
    t.same(
      room
        .getJoinedMembers()
        .map(({ userId }) => userId)
        .sort(),
      [alice.getUserId(), bobId],
    );

    const { room_id: other } = await alice.createRoom({ is_direct: true, invite: [bobId] });
    t.equal((await roomOf(bob, other, 'invite')).getDMInviter(), alice.getUserId());
    await bob.leave(other);
    await until(
      () => alice.getRoom(other)?.getMember(bobId)?.membership === 'leave',
      'that the invitation is declined',
    );
  });

  await t.test('they talk, and each has one copy of what was said', async (t) => {
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendTextMessage(roomId, 'Hello, Bob');
    t.match((await eventOf(bob, roomId, event_id)).getContent(), { msgtype: 'm.text', body: 'Hello, Bob' });
    const reply = await bob.sendNotice(roomId, 'Hello, Alice');
    await eventOf(alice, roomId, reply.event_id);
    const room = await roomOf(alice, roomId);
    t.same(bodiesIn(room), ['Hello, Bob', 'Hello, Alice'], 'the local echo became the event');
  });

  await t.test('by alias, and by the directory', async (t) => {
    const { room_id } = await admin.createRoom({
      name: 'Lobby',
      topic: 'All are welcome',
      room_alias_name: 'lobby',
      visibility: sdk.Visibility.Public,
      preset: sdk.Preset.PublicChat,
    });
    t.match(await bob.getRoomIdForAlias('#lobby:example.com'), { room_id, servers: ['example.com'] });
    t.match((await bob.publicRooms({ limit: 10 })).chunk, [
      {
        room_id,
        name: 'Lobby',
        topic: 'All are welcome',
        canonical_alias: '#lobby:example.com',
        num_joined_members: 1,
      },
    ]);
    t.same((await bob.publicRooms({ filter: { generic_search_term: 'no such' } })).chunk, []);
    await bob.joinRoom('#lobby:example.com');
    const room = await roomOf(bob, room_id);
    t.equal(room.name, 'Lobby');
    t.equal(room.getCanonicalAlias(), '#lobby:example.com');
    t.match(await refusalOf(bob.joinRoom('#nowhere:example.com')), { status: 404, errcode: 'M_NOT_FOUND' });
  });

  await t.test('names, and who is found by them', async (t) => {
    const roomId = await roomWith(alice, bob);
    await bob.setDisplayName('Bob the Builder');
    await until(() => alice.getRoom(roomId)?.getMember(bobId)?.name === 'Bob the Builder', 'the new name');
    t.match((await alice.searchUserDirectory({ term: 'builder' })).results, [
      { user_id: bobId, display_name: 'Bob the Builder' },
    ]);
    t.same(await alice.getProfileInfo(bobId), { displayname: 'Bob the Builder' });
  });

  await t.test('state, power, kicks and bans', async (t) => {
    const roomId = await roomWith(alice, bob);
    t.match(await refusalOf(bob.setRoomName(roomId, 'Mine')), { status: 403, errcode: 'M_FORBIDDEN' });
    await alice.setPowerLevel(roomId, bobId, 50);
    await until(() => bob.getRoom(roomId)?.getMember(bobId)?.powerLevel === 50, 'the power');
    await bob.setRoomName(roomId, 'Ours');
    await bob.setRoomTopic(roomId, 'This and that');
    await until(() => alice.getRoom(roomId)?.name === 'Ours', 'the new name');
    await alice.kick(roomId, bobId, 'out');
    const left = await roomOf(bob, roomId, 'leave');
    t.equal(left.getMember(bobId)?.events.member?.getContent().reason, 'out');
    await alice.ban(roomId, bobId);
    t.match(await refusalOf(bob.joinRoom(roomId)), { status: 403, errcode: 'M_FORBIDDEN' });
    await alice.unban(roomId, bobId);
    await bob.joinRoom(roomId);
    await bob.leave(roomId);
    await bob.forget(roomId);
    t.equal(bob.getRoom(roomId), null);
  });
});
