// End-to-end encryption as the library does it, in memory: keys are uploaded, queried and claimed, the room's key goes
// from device to device, and the server never sees what is said.

import type { MatrixClient } from 'matrix-js-sdk';
import t from 'tap';
import { eventOf, logIn, register, roomOf, sdk, start, startExample, until } from './harness.ts';

t.test('an encrypted room', async (t) => {
  const server = await startExample(t);
  const { url } = server;
  const encrypting = async (client: MatrixClient) => {
    await client.initRustCrypto({ useIndexedDB: false });
    return start(t, client);
  };
  const alice = await encrypting(await register(url, 'alice'));
  const bob = await encrypting(await register(url, 'bob'));
  const bobId = bob.getUserId() ?? '';

  const { room_id: roomId } = await alice.createRoom({
    invite: [bobId],
    initial_state: [
      { type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } },
      { type: 'm.room.history_visibility', state_key: '', content: { history_visibility: 'shared' } },
    ],
  });
  await bob.joinRoom(roomId);
  await roomOf(bob, roomId);
  await until(() => alice.getRoom(roomId)?.getMember(bobId)?.membership === 'join', 'Bob in the room');

  await t.test('what one says the other reads, and the server does not', async (t) => {
    const { event_id } = await alice.sendTextMessage(roomId, 'Between you and me');
    const event = await eventOf(bob, roomId, event_id);
    await until(() => event.getType() === 'm.room.message', 'the decrypted message');
    t.match(event.getContent(), { body: 'Between you and me' });
    t.notOk(event.isDecryptionFailure());
    const { chunk } = await bob.createMessagesRequest(roomId, null, 1, sdk.Direction.Backward);
    t.match(chunk[0], {
      event_id,
      type: 'm.room.encrypted',
      content: { algorithm: 'm.megolm.v1.aes-sha2', ciphertext: String },
    });
    const answer = await bob.sendTextMessage(roomId, 'And nobody else');
    const reply = await eventOf(alice, roomId, answer.event_id);
    await until(() => reply.getContent().body === 'And nobody else', 'the answer');
  });

  await t.test('a device that comes later gets the keys of what is said from then on', async (t) => {
    const second = await encrypting(await logIn(url, 'bob'));
    await until(async () => {
      const devices = await alice.getCrypto()?.getUserDeviceInfo([bobId]);
      return devices?.get(bobId)?.has(second.getDeviceId() ?? '');
    }, 'that Alice learns of it');
    const { event_id } = await alice.sendTextMessage(roomId, 'Is it you?');
    const event = await eventOf(second, roomId, event_id);
    await until(() => event.getContent().body === 'Is it you?', 'the decrypted message');
    t.equal(event.getSender(), alice.getUserId());
  });
});
