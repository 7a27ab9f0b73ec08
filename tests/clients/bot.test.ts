// A bot made with matrix-bot-sdk. It does not encrypt: the library that it would do so with is fetched by a script when it
// is installed, which the project's dependencies may not run.

import type { MatrixClient } from 'matrix-bot-sdk';
import t from 'tap';
import { fixtures, startHomeserver } from '../e2e/harness.ts';
import {
  bodiesIn,
  eventOf,
  isNode20,
  PASSWORD,
  register,
  roomOf,
  sdk,
  signUp,
  startExample,
  until,
} from './harness.ts';

type MatrixBotSdk = typeof import('matrix-bot-sdk');

const { AutojoinRoomsMixin, LogService, MatrixAuth, MatrixError, MemoryStorageProvider, ...bots } = (await (isNode20
  ? import('matrix-bot-sdk')
  : import('matrix-bot-sdk-newest'))) as MatrixBotSdk;

const quiet = () => {};
LogService.setLogger({ trace: quiet, debug: quiet, info: quiet, warn: quiet, error: quiet });

interface BotEvent {
  readonly event_id: string;
  readonly sender: string;
  readonly content: { readonly body?: string };
}

const botOf = (url: string, token: string): MatrixClient =>
  new bots.MatrixClient(url, token, new MemoryStorageProvider());

async function refusalOf(request: Promise<unknown>): Promise<unknown> {
  const error = await request.then(
    (answer) => new Error(`answered: ${JSON.stringify(answer)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof MatrixError)) throw error;
  return error;
}

t.test('a bot', async (t) => {
  const { url } = await startExample(t, { module: 'quota.ts' });
  const auth = new MatrixAuth(url);
  await auth.passwordRegister('bot', PASSWORD);
  const { accessToken } = await auth.passwordLogin('bot', PASSWORD);
  const bot = botOf(url, accessToken);
  AutojoinRoomsMixin.setupOnClient(bot);
  const refused: unknown[] = [];
  const answers: BotEvent[] = [];
  bot.on('room.message', async (roomId: string, event: BotEvent) => {
    if (event.sender === '@bot:example.com') {
      answers.push(event);
      return;
    }
    await bot.sendReadReceipt(roomId, event.event_id);
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

  await t.test('files, account data, state, presence and redactions', async (t) => {
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
    t.match(await bot.getPresenceStatusFor('@alice:example.com'), { state: 'online', currentlyActive: true });
  });

  await t.test('a room of its own: invites, an alias, the directory, and another in its place', async (t) => {
    const own = await bot.createRoom({ name: 'Club', preset: 'public_chat', invite: ['@alice:example.com'] });
    await roomOf(alice, own, 'invite');
    await bot.createRoomAlias('#club:example.com', own);
    t.equal(await bot.resolveRoom('#club:example.com'), own);
    t.equal(await bot.getDirectoryVisibility(own), 'private');
    t.match(await refusalOf(bot.setDirectoryVisibility(own, 'public')), {
      statusCode: 403,
      error: 'Only admins may list rooms in the directory',
    });
    await alice.joinRoom(own);
    await bot.setUserPowerLevel('@alice:example.com', own, 100);
    const { replacement_room } = await alice.upgradeRoom(own, '11');
    t.equal(await bot.joinRoom('#club:example.com'), replacement_room);
    const { previous, newer } = await bot.getRoomUpgradeHistory(own);
    t.match([previous, newer], [[], [{ roomId: replacement_room, version: '11' }]]);
  });

  await t.test('is told what modules refuse, with an errcode and fields of their own', async (t) => {
    t.match(await refusalOf(bot.sendText(roomId, 'Free spins for all')), {
      statusCode: 403,
      errcode: 'M_FORBIDDEN',
      error: 'Advertising for gambling is not welcome here',
    });
    t.match(await refusalOf(bot.sendText(roomId, 'one too many')), {
      statusCode: 403,
      errcode: 'ORG_EXAMPLE_QUOTA',
      error: 'You have said enough for today',
      body: { 'org.example.messages_left': 0, resets: 'tomorrow' },
    });
    t.same(refused, []);
  });

  await t.test('hears its own message as a module has rewritten it', async (t) => {
    const id = await bot.sendText(roomId, 'https://example.org/?utm_source=mail&id=7');
    const heard = await until(() => answers.find(({ event_id }) => event_id === id), 'the message');
    t.equal(heard.content.body, 'https://example.org/?id=7');
  });

  await t.test('does not hear who is shadow-banned', async (t) => {
    const ghost = await register(url, 'ghostly');
    const { room_id: open } = await alice.createRoom({ preset: sdk.Preset.PublicChat, invite: ['@bot:example.com'] });
    const alices = await roomOf(alice, open);
    await ghost.joinRoom(open);
    await ghost.sendTextMessage(open, 'boo');
    await until(() => alices.getMember('@bot:example.com')?.membership === 'join', 'the bot in the room');
    await alice.sendTextMessage(open, 'a quiet evening');
    await until(() => bodiesIn(alices).includes('You said: a quiet evening'), 'the answer');
    t.same(bodiesIn(alices), ['a quiet evening', 'You said: a quiet evening']);
    t.notOk((await bot.getJoinedRoomMembers(open)).includes('@ghostly:example.com'));
  });

  await t.test('cannot answer in a frozen room', async (t) => {
    await alice.sendStateEvent(roomId, 'org.example.room.frozen' as never, { frozen: true } as never, '');
    const frozen = { statusCode: 403, errcode: 'M_FORBIDDEN', error: 'This room is frozen' };
    t.match(await refusalOf(bot.sendText(roomId, 'anybody?')), frozen);
    t.match(await bot.getRoomStateEvent(roomId, 'org.example.room.frozen', ''), { frozen: true });
    await bot.leaveRoom(roomId);
    t.match(await refusalOf(bot.joinRoom(roomId)), frozen);
  });
});

t.test('account-expiry: a bot whose account has expired is told so, and may renew it', async (t) => {
  const { url } = await startHomeserver(t, `${fixtures}short-lived.yaml`);
  const bot = await new MatrixAuth(url).passwordRegister('bot', PASSWORD);
  const whoAmI = () => bot.getWhoAmI().catch((error: unknown) => error);
  const refusal = await until(async () => {
    const answer = await whoAmI();
    return answer instanceof MatrixError && answer;
  }, 'that it has expired');
  t.match(refusal, { statusCode: 403, errcode: 'ORG_MATRIX_EXPIRED_ACCOUNT' });
  await until(async () => {
    await bot.doRequest('POST', '/_synapse/client/account_expiry/renew');
    return !((await whoAmI()) instanceof MatrixError);
  }, 'that it is renewed');
});
