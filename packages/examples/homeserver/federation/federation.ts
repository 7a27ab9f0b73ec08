// The parts of federation and how they hang together. Without `federation` in the configuration there is none of this.

import type { Logger, Modules } from '@bulkhead/runtime';
import type { Accounts } from '../accounts/accounts.js';
import type { Signer } from '../crypto/signing.js';
import type { Database } from '../db/database.js';
import type { Directory } from '../rooms/directory.js';
import type { EventStore } from '../rooms/events.js';
import type { Sender } from '../rooms/sender.js';
import { FederationClient } from './client.js';
import { History } from './history.js';
import { KeyRing } from './keys.js';
import { Outbox } from './outbox.js';
import { Queries } from './queries.js';
import { Receiver } from './receiver.js';
import { RemoteRooms } from './remote-rooms.js';
import { Resident } from './resident.js';
import { RoomLocks } from './room-locks.js';
import { RoomServers } from './room-servers.js';
import { Transactions } from './transactions.js';

export interface FederationParts {
  /** Base URLs by server name. */
  readonly servers: ReadonlyMap<string, string>;
  readonly signer: Signer;
  readonly db: Database;
  readonly accounts: Accounts;
  readonly events: EventStore;
  readonly directory: Directory;
  readonly sender: Sender;
  readonly modules: Modules;
  readonly logger: Logger;
}

export class Federation {
  readonly signer: Signer;
  readonly keys: KeyRing;
  readonly queries: Queries;
  readonly resident: Resident;
  readonly history: History;
  readonly transactions: Transactions;
  readonly remoteRooms: RemoteRooms;
  readonly #client: FederationClient;
  readonly #outbox: Outbox;

  constructor({ servers: urls, ...parts }: FederationParts) {
    const { signer, db, accounts, events, directory, logger } = parts;
    this.signer = signer;
    this.#client = new FederationClient(signer, urls);
    this.keys = new KeyRing(signer, urls);
    const servers = new RoomServers(db);
    this.#outbox = new Outbox(db, this.#client, servers, logger);
    events.onAppend = this.#outbox.add;
    const tools = { ...parts, client: this.#client, keys: this.keys, servers, locks: new RoomLocks() };
    const receiver = new Receiver(tools);
    this.resident = new Resident({ ...tools, receiver });
    this.history = new History(db, this.resident);
    this.transactions = new Transactions(receiver, this.#outbox, logger);
    this.remoteRooms = new RemoteRooms(tools);
    this.queries = new Queries(this.#client, accounts, directory, servers);
  }

  start(): Promise<void> {
    return this.#outbox.start();
  }

  async close(): Promise<void> {
    this.#client.close();
    await this.#outbox.close();
  }
}
