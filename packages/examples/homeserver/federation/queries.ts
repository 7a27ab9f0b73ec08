// What servers ask one another about users and aliases.

import { RoomId, ServerName, serverNameOf } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import type { Accounts } from '../accounts/accounts.js';
import { invalidParam, notFound } from '../errors.js';
import { check } from '../http/body.js';
import { isLocal, isRoomAlias, isUserId } from '../ids.js';
import type { Directory } from '../rooms/directory.js';
import { NOBODY } from '../rooms/rows.js';
import { type FederationClient, toClient } from './client.js';
import type { RoomServers } from './room-servers.js';

const MAX_SERVERS = 50;
const MAX_BYTES = 65_536;

const Profile = v.object({ displayname: v.nullish(v.string()), avatar_url: v.nullish(v.string()) });
const Room = v.object({ room_id: RoomId, servers: v.array(ServerName) });

export class Queries {
  readonly #client: FederationClient;
  readonly #accounts: Accounts;
  readonly #directory: Directory;
  readonly #servers: RoomServers;

  constructor(client: FederationClient, accounts: Accounts, directory: Directory, servers: RoomServers) {
    this.#client = client;
    this.#accounts = accounts;
    this.#directory = directory;
    this.#servers = servers;
  }

  /** Of a user of another server. */
  async profile(userId: string) {
    const answer = await this.#ask(userId, 'profile', { user_id: userId });
    const { displayname, avatar_url } = check(Profile, answer);
    return {
      ...(displayname === undefined || displayname === null ? {} : { displayname }),
      ...(avatar_url === undefined || avatar_url === null ? {} : { avatar_url }),
    };
  }

  /** Where an alias of another server leads. */
  async directory(alias: string) {
    if (!isRoomAlias(alias)) throw invalidParam(`${alias} is no room alias`);
    if (!this.#client.knows(serverNameOf(alias) ?? '')) throw notFound(`Room alias ${alias} not found`);
    const answer = await this.#ask(alias, 'directory', { room_alias: alias });
    const { room_id: roomId, servers } = check(Room, answer);
    return { roomId, via: servers.slice(0, MAX_SERVERS) };
  }

  /** What another server asks for. */
  async ownProfile(userId: string, field: string | undefined) {
    if (!isUserId(userId) || !isLocal(userId, this.#client.serverName)) throw notFound('User not found');
    if (field !== undefined && field !== 'displayname' && field !== 'avatar_url') {
      throw invalidParam('field is either displayname or avatar_url');
    }
    const profile = await this.#accounts.profile(userId);
    if (!profile) throw notFound('User not found');
    return field === undefined ? profile : { [field]: profile[field] };
  }

  async ownDirectory(alias: string) {
    const roomId = await this.#directory.resolve(alias, NOBODY);
    const others = [...(await this.#servers.of(roomId))].filter((server) => server !== this.#client.serverName);
    return { room_id: roomId, servers: [this.#client.serverName, ...others].slice(0, MAX_SERVERS) };
  }

  async #ask(id: string, kind: string, query: Readonly<Record<string, string>>) {
    const server = serverNameOf(id) ?? '';
    return this.#client
      .request(server, { path: ['v1', 'query', kind], query, maxBytes: MAX_BYTES })
      .catch((error: unknown) => {
        throw toClient(error, server);
      });
  }
}
