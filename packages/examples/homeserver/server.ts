// The parts of the homeserver and how they hang together. The foundation needs no module; everything above it does.

import type { Logger, Modules } from '@bulkhead/runtime';
import { Accounts } from './accounts/accounts.js';
import { Registration } from './accounts/registration.js';
import { UserDirectory } from './accounts/user-directory.js';
import type { HomeserverConfig } from './config.js';
import type { Signer } from './crypto/signing.js';
import type { Database } from './db/database.js';
import { Federation } from './federation/federation.js';
import { Authenticator } from './http/authenticate.js';
import { type MediaFolder, MediaStore } from './media/media.js';
import { Feed } from './page/feed.js';
import { withRulings } from './page/rulings.js';
import { PresenceTracker } from './presence/presence.js';
import { RoomCreator } from './rooms/create.js';
import { Directory } from './rooms/directory.js';
import { EventStore } from './rooms/events.js';
import { Memberships } from './rooms/memberships.js';
import { Sender } from './rooms/sender.js';
import { RoomUpgrader } from './rooms/upgrade.js';
import { Notifier } from './sync/notifier.js';
import { Sync } from './sync/sync.js';

export interface Foundation {
  readonly config: HomeserverConfig;
  readonly logger: Logger;
  readonly db: Database;
  readonly mediaFolder: MediaFolder;
  readonly signer: Signer;
  readonly accounts: Accounts;
  readonly events: EventStore;
}

export async function layFoundation(parts: Omit<Foundation, 'accounts' | 'events'>): Promise<Foundation> {
  const accounts = new Accounts(parts.db, parts.config);
  const events = new EventStore(parts.db);
  await events.open();
  return { ...parts, accounts, events };
}

export type Server = ReturnType<typeof buildServer>;

export function buildServer(foundation: Foundation, runtime: Modules) {
  const { config, logger, db, mediaFolder, signer, accounts, events } = foundation;
  const feed = new Feed(runtime);
  const modules = withRulings(runtime, feed);
  const notifier = new Notifier();
  const authenticator = new Authenticator(accounts, modules);
  const registration = new Registration(accounts, modules, config.enableRegistration);
  const userDirectory = new UserDirectory(db, events, modules);
  const sender = new Sender(events, modules, notifier, signer);
  const memberships = new Memberships(db, accounts, events, sender, modules, logger);
  const directory = new Directory(db, config, accounts, events, modules);
  const creator = new RoomCreator({ config, accounts, events, sender, memberships, directory, modules, logger });
  const upgrader = new RoomUpgrader({ config, events, sender, memberships, directory, modules, logger });
  const presence = new PresenceTracker(accounts, events, modules, notifier, logger);
  const sync = new Sync(events, memberships, presence, notifier);
  const media = new MediaStore(db, mediaFolder, modules, config.maxUploadSize);
  const servers = config.federation;
  const parts = { ...foundation, modules, sender, directory };
  const federation = servers && new Federation({ ...parts, servers });
  memberships.elsewhere = federation?.remoteRooms;
  return {
    ...foundation,
    modules,
    feed,
    notifier,
    authenticator,
    registration,
    userDirectory,
    sender,
    memberships,
    directory,
    creator,
    upgrader,
    presence,
    sync,
    media,
    federation,
  };
}
