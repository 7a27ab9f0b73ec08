// Two homeservers that know each other, over real HTTP, and requests that one of them would never make.

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import type { Logger, Modules } from '@bulkhead/runtime';
import type { Homeserver as ModuleHost } from '@bulkhead/sdk/contract';
import type t from 'tap';
import { openSigningKey } from '../../packages/examples/homeserver/crypto/key-file.ts';
import type { Signer } from '../../packages/examples/homeserver/crypto/signing.ts';
import { authorization } from '../../packages/examples/homeserver/federation/x-matrix.ts';
import { Client, type ClientEvent, type Json } from './client.ts';
import { createFakeModules, type FakeModules } from './fake-modules.ts';
import { quiet, storageFor } from './harness.ts';

type StartModules = (homeserver: ModuleHost, logger: Logger) => Promise<Modules>;

type Test = Pick<typeof t, 'teardown' | 'testdir'>;

export interface FederatedServer {
  readonly name: string;
  readonly url: string;
  readonly dataDir: string;
  readonly fake: FakeModules;
  readonly signer: Signer;
  readonly warnings: string[];
  register(username: string): Promise<Client>;
  /** The same user, after a restart. */
  again(client: Client): Client;
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** @param modules of the first server; without them they are fake ones, as the other's always are */
export async function startPair(
  t: Test,
  modules?: StartModules,
  folder = t.testdir({}),
): Promise<readonly [FederatedServer, FederatedServer]> {
  const ports = [await freePort(), await freePort()];
  const [a = '', b = ''] = ports.map((port) => `localhost:${port}`);
  const urls = { [a]: `http://127.0.0.1:${ports[0]}`, [b]: `http://127.0.0.1:${ports[1]}` };
  const start = (name: string, own?: StartModules) =>
    startFederated(t, name, urls, join(folder, name.replace(':', '-')), own);
  return [await start(a, modules), await start(b)];
}

async function startFederated(
  t: Test,
  name: string,
  urls: Readonly<Record<string, string>>,
  dataDir: string,
  modules?: StartModules,
): Promise<FederatedServer> {
  const fake = createFakeModules();
  const url = urls[name] ?? '';
  const federation = Object.fromEntries(Object.entries(urls).filter(([other]) => other !== name));
  const warnings: string[] = [];
  const logger = { ...quiet, warn: (_: object, message: string) => warnings.push(message) };
  const open = async () => {
    const made = await createHomeserver({
      serverName: name,
      ...(await storageFor(t, { dataDir })),
      dataDir,
      federation,
      logger,
      modules: (host) => modules?.(host, logger) ?? Promise.resolve(fake),
    });
    await made.listen(Number(new URL(url).port), '127.0.0.1');
    return made;
  };
  let running = await open();
  t.teardown(() => running.close());
  return {
    name,
    url,
    dataDir,
    fake,
    warnings,
    signer: { serverName: name, key: await openSigningKey(join(dataDir, 'signing.key')) },
    register: (username) => Client.register(url, username),
    again: (client) => Object.assign(new Client(url, client as never), { since: client.since }),
    stop: () => running.close(),
    start: async () => {
      running = await open();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface RawRequest {
  readonly method?: string;
  readonly body?: object;
  readonly signer: Signer;
  /** What the header says, if it is not the truth. */
  readonly destination?: string;
  readonly header?: string;
}

/** A request as another server makes it. */
export async function ask(
  to: FederatedServer,
  uri: string,
  request: RawRequest,
): Promise<{ status: number; body: Json }> {
  const { method = 'GET', body, signer, destination = to.name } = request;
  const signed = { method, uri, destination, ...(body ? { content: body } : {}) };
  const response = await fetch(to.url + uri, {
    method,
    headers: { authorization: request.header ?? authorization(signed, signer), 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return { status: response.status, body: (await response.json()) as Json };
}

let transactions = 0;
/** @returns what became of the events, by their ids */
export async function sendTo(
  to: FederatedServer,
  signer: Signer,
  pdus: readonly unknown[],
  txnId = `t${++transactions}`,
) {
  const uri = `/_matrix/federation/v1/send/${txnId}`;
  const { status, body } = await ask(to, uri, { method: 'PUT', signer, body: { origin: signer.serverName, pdus } });
  if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
  return body.pdus as Record<string, { error?: string }>;
}

/** Syncs until an event of the room is there. */
export async function waitFor(
  client: Client,
  roomId: string,
  isIt: (event: ClientEvent) => boolean,
): Promise<readonly ClientEvent[]> {
  const seen: ClientEvent[] = [];
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const { rooms } = await client.sync({ timeout: 1000 });
    const room = rooms.join[roomId] ?? rooms.leave[roomId];
    seen.push(...(room?.state.events ?? []), ...(room?.timeline.events ?? []));
    if (seen.some(isIt)) return seen;
  }
  throw new Error(`Nothing came: ${JSON.stringify(seen.map(({ type, content }) => [type, content]))}`);
}

export const says = (body: string) => (event: ClientEvent) => event.content.body === body;
export const is = (userId: string, membership: string) => (event: ClientEvent) =>
  event.type === 'm.room.member' && event.state_key === userId && event.content.membership === membership;
