// The example homeserver as it is, with the example's modules, and clients as applications make them: a stock
// matrix-js-sdk over HTTP. On Node 20 it is the last one that runs there, else the newest.

import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { MatrixClient, MatrixEvent, Room, SyncState, SyncStateData } from 'matrix-js-sdk';
import type { Test } from 'tap';
import { examples, type RunningServer, startHomeserver } from '../e2e/harness.ts';

const PATIENCE_MS = 30_000;
const LONGEST_WAIT_MS = 10_000;

// Behind each request the library leaves a timer that nothing clears, of 80 s after a /sync. None shall keep the process.
const { setTimeout: setTimer } = globalThis;
globalThis.setTimeout = ((...args: Parameters<typeof setTimer>) => {
  const timer = setTimer(...args);
  return Number(args[1]) > LONGEST_WAIT_MS ? timer.unref() : timer;
}) as typeof setTimer;

type MatrixJsSdk = typeof import('matrix-js-sdk');

export const isNode20 = process.versions.node.startsWith('20.');

// It tells the console what it does, and takes the console for its own when it is loaded.
if (!process.env.LOG)
  for (const method of ['log', 'trace', 'debug', 'info', 'warn', 'error'] as const) console[method] = () => {};

// What is used here has the same form in both.
export const sdk = (await (isNode20 ? import('matrix-js-sdk') : import('matrix-js-sdk-newest'))) as MatrixJsSdk;

export const PASSWORD = 'a client’s password';

/** Starts the server of the example's homeserver.yaml. */
export async function startExample(t: Test): Promise<RunningServer> {
  const file = `${examples}homeserver.yaml`;
  // A busy machine may take longer for an answer than a module that is in a hurry has.
  const text = (await readFile(file, 'utf8')).replaceAll(/timeout: \d+ms/g, 'timeout: 20s');
  return startHomeserver(t, file, { config: { text, file } });
}

/** A client that is nobody yet. */
export const anonymous = (baseUrl: string): MatrixClient => sdk.createClient({ baseUrl });

/** Logs in to an account, which gives the client a device of its own; nothing is synced yet. */
export async function logIn(baseUrl: string, username: string): Promise<MatrixClient> {
  const { user_id, access_token, device_id } = await anonymous(baseUrl).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: username },
    password: PASSWORD,
  });
  return sdk.createClient({ baseUrl, userId: user_id, accessToken: access_token, deviceId: device_id });
}

/** A new account, without a look at how one comes by it. */
export async function register(baseUrl: string, username: string): Promise<MatrixClient> {
  await anonymous(baseUrl).registerRequest({ username, password: PASSWORD, auth: { type: 'm.login.dummy' } });
  return logIn(baseUrl, username);
}

/** Syncs until the client says that it is PREPARED; the end of the test stops it. */
export async function start(
  t: Test,
  client: MatrixClient,
  options: Parameters<MatrixClient['startClient']>[0] = {},
): Promise<MatrixClient> {
  const prepared = new Promise<void>((resolve, reject) => {
    const look = (state: SyncState, _: SyncState | null, data?: SyncStateData) => {
      if (state === sdk.SyncState.Prepared) resolve();
      else if (state === sdk.SyncState.Error) reject(data?.error);
      else return;
      client.off(sdk.ClientEvent.Sync, look);
    };
    client.on(sdk.ClientEvent.Sync, look);
  });
  t.teardown(() => client.stopClient());
  await client.startClient({ initialSyncLimit: 20, pollTimeout: 2_000, ...options });
  await prepared;
  return client;
}

/** A new account's client, syncing. */
export const signUp = async (t: Test, baseUrl: string, username: string): Promise<MatrixClient> =>
  start(t, await register(baseUrl, username));

type Maybe<T> = T | undefined | null | false;

/** Waits until there is what is looked for. */
export async function until<T>(look: () => Maybe<T> | Promise<Maybe<T>>, what: string): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await look();
    if (found !== undefined && found !== null && found !== false) return found;
    await delay(10);
  }
  throw new Error(`Not seen within ${PATIENCE_MS / 1000} s: ${what}`);
}

/** The room, once the client has it with that membership. */
export const roomOf = (client: MatrixClient, roomId: string, membership = 'join'): Promise<Room> =>
  until(() => {
    const room = client.getRoom(roomId);
    return room?.getMyMembership() === membership && room;
  }, `${client.getUserId()} with ${membership} in ${roomId}`);

/** The event, once the client has it in the room's timeline. */
export const eventOf = (client: MatrixClient, roomId: string, eventId: string): Promise<MatrixEvent> =>
  until(() => client.getRoom(roomId)?.findEventById(eventId), `${client.getUserId()} with ${eventId}`);

/** What was said in the room as far as the client has it. */
export const bodiesIn = (room: Room): readonly unknown[] =>
  room
    .getLiveTimeline()
    .getEvents()
    .filter((event) => event.getType() === 'm.room.message')
    .map((event) => event.getContent().body);

/** A public room of the first client in which all of them are. */
export async function roomWith(creator: MatrixClient, ...others: readonly MatrixClient[]): Promise<string> {
  const { room_id } = await creator.createRoom({ preset: sdk.Preset.PublicChat });
  for (const other of others) await other.joinRoom(room_id);
  for (const client of [creator, ...others]) await roomOf(client, room_id);
  return room_id;
}

interface Refused {
  readonly status: number | undefined;
  readonly errcode: string | undefined;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What the library throws for an answer that is a refusal. */
export async function refusalOf(request: Promise<unknown>): Promise<Refused> {
  const error = await request.then(
    (answer) => new Error(`answered: ${JSON.stringify(answer)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof sdk.MatrixError)) throw error;
  return { status: error.httpStatus, errcode: error.errcode, data: error.data };
}
