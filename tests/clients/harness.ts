// The example homeserver as it is, with the example's modules, and clients as applications make them: a stock
// matrix-js-sdk over HTTP. On Node 20 it is the last one that runs there, else the newest.

import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
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

const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url));

export const PASSWORD = 'a client’s password';

type Options = Omit<NonNullable<Parameters<typeof startHomeserver>[2]>, 'config'>;

interface ExampleOptions extends Options {
  /** A file of fixtures/, whose module comes after the example's. */
  readonly module?: string;
}

/** Starts the server of the example's homeserver.yaml. */
export async function startExample(t: Test, { module, ...options }: ExampleOptions = {}): Promise<RunningServer> {
  const file = `${examples}homeserver.yaml`;
  const more = module === undefined ? '' : `\n  - module: ${fixtures}${module}\n    id: fixture\n    timeout: 1s\n`;
  // A busy machine may take longer for an answer than a module that is in a hurry has.
  const text = `${await readFile(file, 'utf8')}${more}`.replaceAll(/timeout: \d+m?s/g, 'timeout: 20s');
  return startHomeserver(t, file, { ...options, config: { text, file } });
}

/** Until the test ends, the library does at once what it would put off by some seconds, as many as chance will have. */
export const withoutChance = (t: Test): void => void t.intercept(Math, 'random', { value: () => 0 });

type ClientOptions = Omit<Parameters<MatrixJsSdk['createClient']>[0], 'baseUrl'>;

/** A client that is nobody yet. */
export const anonymous = (baseUrl: string): MatrixClient => sdk.createClient({ baseUrl });

/** Logs in to an account, which gives the client a device of its own; nothing is synced yet. */
export async function logIn(baseUrl: string, username: string, options: ClientOptions = {}): Promise<MatrixClient> {
  const session = await anonymous(baseUrl).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: username },
    password: PASSWORD,
    refresh_token: options.tokenRefreshFunction !== undefined,
  });
  return clientOf(baseUrl, session, options);
}

/** A new account, without a look at how one comes by it. */
export async function register(baseUrl: string, username: string, options: ClientOptions = {}): Promise<MatrixClient> {
  const request = { username, password: PASSWORD, auth: { type: 'm.login.dummy' } };
  return clientOf(baseUrl, await anonymous(baseUrl).registerRequest(request), options);
}

interface Session {
  readonly user_id: string;
  readonly device_id?: string;
  readonly access_token?: string;
  readonly refresh_token?: string;
}

const clientOf = (baseUrl: string, session: Session, options: ClientOptions): MatrixClient =>
  sdk.createClient({
    baseUrl,
    userId: session.user_id,
    ...(session.device_id !== undefined && { deviceId: session.device_id }),
    ...(session.access_token !== undefined && { accessToken: session.access_token }),
    ...(session.refresh_token !== undefined && { refreshToken: session.refresh_token }),
    ...options,
  });

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
