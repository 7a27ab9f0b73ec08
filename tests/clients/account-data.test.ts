// What a client keeps on the server, and has with its user's next device.

import t from 'tap';
import { logIn, roomOf, roomWith, signUp, start, startExample, until } from './harness.ts';

t.test('account data, tags and push rules', async (t) => {
  const { url } = await startExample(t);
  const first = await signUp(t, url, 'alice');
  const roomId = await roomWith(first);
  const second = await start(t, await logIn(url, 'alice'));

  await t.test('account data, of the user and of a room', async (t) => {
    const direct = { '@bob:example.com': [roomId] };
    await first.setAccountData('m.direct' as never, direct as never);
    await until(() => second.getAccountData('m.direct' as never), 'the account data');
    t.same(second.getAccountData('m.direct' as never)?.getContent(), direct);
    t.same(await second.getAccountDataFromServer('m.direct' as never), direct);
    await second.setRoomAccountData(roomId, 'org.example.colour', { colour: 'green' });
    const room = await roomOf(first, roomId);
    await until(() => room.getAccountData('org.example.colour')?.getContent().colour === 'green', 'the room’s');
    t.equal(await first.getAccountDataFromServer('org.example.nothing' as never), null);
  });

  await t.test('tags', async (t) => {
    const room = await roomOf(second, roomId);
    await first.setRoomTag(roomId, 'm.favourite', { order: 0.5 });
    await until(() => room.tags['m.favourite'], 'the tag');
    t.same(room.tags, { 'm.favourite': { order: 0.5 } });
    await second.deleteRoomTag(roomId, 'm.favourite');
    await until(() => !first.getRoom(roomId)?.tags['m.favourite'], 'that the tag is gone');
  });

  await t.test('push rules', async (t) => {
    await first.setRoomMutePushRule('global', roomId, true);
    await until(() => second.getRoomPushRule('global', roomId), 'the rule');
    t.match(second.getRoomPushRule('global', roomId), { rule_id: roomId, enabled: true });
  });

  await t.test('ignored users', async (t) => {
    await first.setIgnoredUsers(['@nuisance:example.com']);
    await until(() => second.isUserIgnored('@nuisance:example.com'), 'the list');
    t.same(second.getIgnoredUsers(), ['@nuisance:example.com']);
  });
});
