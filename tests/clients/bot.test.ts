// A bot made with matrix-bot-sdk. It does not encrypt: the library that it would do so with is fetched by a script when it
// is installed, which the project's dependencies may not run.

import type { MatrixClient } from 'matrix-bot-sdk';
import t from 'tap';
import { bodiesIn, eventOf, isNode20, PASSWORD, register, roomOf, signUp, startExample, until } from './harness.ts';

type MatrixBotSdk = typeof import('matrix-bot-sdk');

const { AutojoinRoomsMixin, LogService, MatrixAuth, MatrixError, MemoryStorageProvider, ...bots } = (await (isNode20
  ? import('matrix-bot-sdk')
  : import('matrix-bot-sdk-newest'))) as MatrixBotSdk;

const quiet = () => {};
LogService.setLogger({ trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet });

t.test('a bot', async (t) => {
  const { url } = await startExample(t);
  await register(url, 'bot');
  const { accessToken } = await new MatrixAuth(url).passwordLogin('bot', PASSWORD);
  const bot: MatrixClient = new bots.MatrixClient(url, accessToken, new MemoryStorageProvider());
  AutojoinRoomsMixin.setupOnClient(bot);
  const refused: unknown[] = [];
  bot.on('room.message', async (roomId: string, event: { sender: string; content: { body?: string } }) => {
    if (event.sender === '@bot:example.com') return;
    await bot.sendReadReceipt(roomId, (event as unknown as { event_id: string }).event_id);
    await bot.sendText(roomId, `You said: ${event.content.body}`).catch((error: unknown) => refused.push(error));
  });
  await bot.start();
  t.teardown(() => bot.stop());
  const alice = await signUp(t, url, 'alice');

  const { room_id: roomId } = await alice.createRoom({ invite: ['@bot:example.com'] });
  const room = await roomOf(alice, roomId);

  await t.test('joins where it is invited, and answers', async (t) => {
    await until(() => room.getMember('@bot:example.com')?.membership === 'join', 'the bot in the room');
    const { event_id } = await alice.sendTextMessage(roomId, 'hello');
    await until(() => bodiesIn(room).includes('You said: hello'), 'the answer');
    await until(() => room.getEventReadUpTo('@bot:example.com'), 'its receipt');
    await eventOf(alice, roomId, event_id);
    t.same(await bot.getJoinedRooms(), [roomId]);
    t.same((await bot.getJoinedRoomMembers(roomId)).toSorted(), ['@alice:example.com', '@bot:example.com']);
    t.match(await bot.getRoomState(roomId), [{ type: 'm.room.create' }]);
  });

  await t.test('files, account data, state and redactions', async (t) => {
    const mxc = await bot.uploadContent(Buffer.from('a file'), 'text/plain', 'a.txt');
    t.equal(String((await bot.downloadContent(mxc)).data), 'a file');
    await bot.setAccountData('org.example.bot', { seen: 1 });
    t.same(await bot.getAccountData('org.example.bot'), { seen: 1 });
    const id = await bot.sendNotice(roomId, 'never mind');
    await eventOf(alice, roomId, id);
    await bot.redactEvent(roomId, id, 'as I said');
    await until(() => room.findEventById(id)?.isRedacted(), 'the redaction');
    await bot.setDisplayName('The bot');
    t.match(await bot.getUserProfile('@bot:example.com'), { displayname: 'The bot' });
  });

  await t.test('is told what a module refuses', async (t) => {
    await bot.setRoomAccountData('org.example.bot', roomId, {});
    const error = await bot.sendText(roomId, 'Free spins for all').catch((thrown: unknown) => thrown);
    t.ok(error instanceof MatrixError);
    t.match(error, {
      statusCode: 403,
      errcode: 'M_FORBIDDEN',
      error: 'Advertising for gambling is not welcome here',
    });
    t.same(refused, []);
  });
});
