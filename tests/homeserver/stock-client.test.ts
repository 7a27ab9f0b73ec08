// A client that knows nothing of this server: matrix-js-sdk with its encryption, as Element uses them.

import type { MatrixClient } from 'matrix-js-sdk';
import t from 'tap';
import { startServer, type TestServer } from './harness.ts';

// It tells the console what it does, and takes the console for its own when it is loaded.
for (const method of ['log', 'trace', 'debug', 'info', 'warn', 'error'] as const) console[method] = () => {};
// Each of its requests leaves a timer of up to two minutes behind, for which the process would wait.
const { setTimeout } = globalThis;
globalThis.setTimeout = ((...args: Parameters<typeof setTimeout>) => setTimeout(...args).unref()) as typeof setTimeout;
const sdk = await import('matrix-js-sdk');

const server = await startServer(t, { accessTokenLifetimeMs: 60_000 });

interface Stock {
  readonly client: MatrixClient;
  /** Every request that was refused. */
  readonly refused: string[];
}

async function start({ url }: TestServer, username: string): Promise<Stock> {
  const refused: string[] = [];
  const fetchFn: typeof fetch = async (resource, init) => {
    const response = await fetch(resource, init);
    const { pathname } = new URL(String(resource));
    if (!response.ok) refused.push(`${response.status} ${init?.method} ${decodeURIComponent(pathname)}`);
    return response;
  };
  const auth = { type: 'm.login.dummy' };
  const registered = await sdk
    .createClient({ baseUrl: url, fetchFn })
    .registerRequest({ username, password: `${username}s password`, auth, refresh_token: true });
  let secret: [keyId: string, key: Uint8Array] | undefined;
  const client = sdk.createClient({
    baseUrl: url,
    fetchFn,
    userId: registered.user_id,
    deviceId: registered.device_id ?? '',
    accessToken: registered.access_token ?? '',
    refreshToken: registered.refresh_token ?? '',
    cryptoCallbacks: {
      getSecretStorageKey: async () => (secret ?? null) as never,
      cacheSecretStorageKey: (keyId, _info, key) => {
        secret = [keyId, key];
      },
    },
  });
  await client.initRustCrypto({ useIndexedDB: false });
  await client.startClient({ lazyLoadMembers: true, initialSyncLimit: 8, threadSupport: true });
  t.teardown(() => client.stopClient());
  await until(() => client.isInitialSyncComplete());
  return { client, refused };
}

async function until(holds: () => unknown, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain for ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const alice = await start(server, 'alice');
const bob = await start(server, 'bob');
const bobId = bob.client.getSafeUserId();

t.test('two clients talk in secret, read, type and count', async (t) => {
  const { room_id: roomId } = await alice.client.createRoom({
    name: 'Secret',
    preset: sdk.Preset.PrivateChat,
    invite: [bobId],
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  });
  await bob.client.joinRoom(roomId);
  const [roomOfAlice, roomOfBob] = [() => alice.client.getRoom(roomId), () => bob.client.getRoom(roomId)];
  await until(() => roomOfAlice()?.getMember(bobId)?.membership === 'join' && roomOfBob()?.name === 'Secret');

  await alice.client.sendTextMessage(roomId, 'between us');
  const heard = () =>
    roomOfBob()
      ?.getLiveTimeline()
      .getEvents()
      .find((event) => event.getContent().body === 'between us');
  await until(heard);
  const event = heard();
  if (!event) throw new Error('not heard');
  t.equal(event.isEncrypted(), true);
  t.equal(event.isDecryptionFailure(), false);
  t.equal(event.getWireType(), 'm.room.encrypted');

  t.equal(roomOfBob()?.getUnreadNotificationCount(), 1);
  await bob.client.sendReadReceipt(event);
  await bob.client.sendTyping(roomId, true, 5_000);
  await until(() => roomOfAlice()?.getEventReadUpTo(bobId) === event.getId());
  await until(() => roomOfAlice()?.getMember(bobId)?.typing);
  await until(() => roomOfBob()?.getUnreadNotificationCount() === 0);
});

t.test('cross-signing, secret storage and a key backup are set up', async (t) => {
  const crypto = alice.client.getCrypto();
  if (!crypto) throw new Error('no encryption');
  await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: async (makeRequest) => void (await makeRequest(null)),
  });
  t.equal(await crypto.isCrossSigningReady(), true);
  await crypto.bootstrapSecretStorage({
    createSecretStorageKey: () => crypto.createRecoveryKeyFromPassphrase(),
    setupNewKeyBackup: true,
  });
  t.equal(await crypto.isSecretStorageReady(), true);
  await until(() => crypto.getActiveSessionBackupVersion());
  const stored = () => alice.client.http.authedRequest<{ count: number }>(sdk.Method.Get, '/room_keys/version');
  await until(async () => (await stored()).count > 0);
});

t.test('settings reach the client through its sync', async (t) => {
  const [room] = alice.client.getRooms();
  if (!room) throw new Error('no room');
  await alice.client.setRoomTag(room.roomId, 'm.favourite', { order: 0.5 });
  await alice.client.setAccountData('m.direct' as never, { [bobId]: [room.roomId] } as never);
  await alice.client.setPushRuleEnabled('global', sdk.PushRuleKind.Override, '.m.rule.master', true);
  await until(() => room.tags['m.favourite']?.order === 0.5);
  await until(() => alice.client.getAccountData('m.direct' as never));
  await until(() => alice.client.pushRules?.global.override?.[0]?.enabled);
  t.equal((await alice.client.getDevices()).devices.length, 1);
});

t.test('nothing was refused but the question for a backup that there was not', (t) => {
  const unexpected = [...alice.refused, ...bob.refused].filter((each) => !each.endsWith('/room_keys/version'));
  t.same(unexpected, []);
  t.end();
});
