// Two people find each other, talk, show each other pictures, and move to another room.

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

    await admin.createAlias('#hall:example.com', room_id);
    t.same((await bob.getLocalAliases(room_id)).aliases.toSorted(), ['#hall:example.com', '#lobby:example.com']);
    t.match(await refusalOf(bob.deleteAlias('#hall:example.com')), { status: 403, errcode: 'M_FORBIDDEN' });
    await admin.deleteAlias('#hall:example.com');
    t.match(await refusalOf(bob.getRoomIdForAlias('#hall:example.com')), { status: 404, errcode: 'M_NOT_FOUND' });
    await admin.setRoomDirectoryVisibility(room_id, sdk.Visibility.Private);
    t.same((await bob.publicRooms()).chunk, []);
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

  await t.test('a room that takes the place of another', async (t) => {
    const { room_id: roomId } = await alice.createRoom({
      name: 'Harbour',
      preset: sdk.Preset.PublicChat,
      room_alias_name: 'harbour',
    });
    await bob.joinRoom(roomId);
    const old = await roomOf(bob, roomId);
    t.ok(old.userMayUpgradeRoom(alice.getUserId() ?? ''));
    t.notOk(old.userMayUpgradeRoom(bobId));
    t.match(await refusalOf(bob.upgradeRoom(roomId, '11')), { status: 403, errcode: 'M_FORBIDDEN' });
    t.match(await refusalOf(alice.upgradeRoom(roomId, '1')), { status: 400, errcode: 'M_UNSUPPORTED_ROOM_VERSION' });
    const { event_id: last } = await alice.sendTextMessage(roomId, 'let us move');
    t.ok(old.maySendMessage());

    const { replacement_room: newId } = await alice.upgradeRoom(roomId, '11');
    const tombstone = await until(() => old.currentState.getStateEvents('m.room.tombstone', ''), 'the tombstone');
    t.equal(tombstone.getContent().replacement_room, newId);
    t.ok(bob.getVisibleRooms().includes(old), 'it is his way to the new one');
    await until(() => !old.maySendMessage(), 'that nobody talks there any more');
    t.match(await refusalOf(bob.sendTextMessage(roomId, 'hello?')), { status: 403, errcode: 'M_FORBIDDEN' });
    t.equal((await bob.joinRoom('#harbour:example.com')).roomId, newId, 'the alias has moved');

    for (const client of [alice, bob]) {
      const room = await roomOf(client, newId);
      await until(() => client.getRoom(roomId)?.currentState.getStateEvents('m.room.tombstone', ''), 'the tombstone');
      t.equal(room.name, 'Harbour');
      t.equal(room.getVersion(), '11');
      t.match(room.findPredecessor(), { roomId, eventId: last });
      const visible = client.getVisibleRooms().map((each) => each.roomId);
      t.ok(visible.includes(newId));
      t.notOk(visible.includes(roomId), 'it shows one room');
      for (const id of [roomId, newId]) {
        const history = client.getRoomUpgradeHistory(id, true).map((each) => each.roomId);
        t.same(history, [roomId, newId], 'the two refer to each other');
      }
    }
  });

  await t.test('a picture that is sent, and looked at by the other', async (t) => {
    const bytes = Buffer.from(
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      'base64',
    );
    const config = await alice.getMediaConfig();
    t.ok((config['m.upload.size'] ?? 0) > bytes.length);
    const { content_uri } = await alice.uploadContent(bytes as never, { name: 'dot.png', type: 'image/png' });
    t.match(content_uri, /^mxc:\/\/example\.com\//);
    const roomId = await roomWith(alice, bob);
    const { event_id } = await alice.sendImageMessage(roomId, content_uri, { mimetype: 'image/png' }, 'dot.png');
    const mxc = (await eventOf(bob, roomId, event_id)).getContent<{ url: string }>().url;

    const address = bob.mxcUrlToHttp(mxc, undefined, undefined, undefined, undefined, true, true);
    const response = await fetch(address ?? '', { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    t.equal(response.status, 200);
    t.equal(response.headers.get('content-type'), 'image/png');
    t.same(Buffer.from(await response.arrayBuffer()), bytes);
    t.equal((await fetch(address ?? '')).status, 401, 'not for strangers');
    const small = bob.mxcUrlToHttp(mxc, 32, 32, 'crop', undefined, true, true) ?? '';
    t.match(small, '/thumbnail/');
    const thumbnail = await fetch(small, { headers: { authorization: `Bearer ${bob.getAccessToken()}` } });
    t.equal(thumbnail.status, 200);
    t.match(thumbnail.headers.get('content-type'), /^image\//);
  });

  await t.test('an avatar', async (t) => {
    const { content_uri } = await bob.uploadContent('not really one', { type: 'image/png' });
    await bob.setAvatarUrl(content_uri);
    t.match(await alice.getProfileInfo(bob.getUserId() ?? ''), { avatar_url: content_uri });
  });

  await t.test('a program, which a module refuses', async (t) => {
    const program = Buffer.from([0x4d, 0x5a, 0x90, 0]);
    t.match(await refusalOf(alice.uploadContent(program as never)), {
      status: 400,
      errcode: 'M_UNKNOWN',
      data: { error: 'Files of this kind are not accepted' },
    });
    t.ok(sdk.getHttpUriForMxc(url, 'mxc://example.com/none').startsWith(`${url}/_matrix/`));
  });
});
