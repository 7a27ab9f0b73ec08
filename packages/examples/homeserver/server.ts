// The parts of the homeserver and how they hang together. The foundation needs no module; everything above it does.

import type { Logger, Modules } from '@bulkhead/runtime';
import { AccountData } from './account-data/account-data.js';
import { Accounts } from './accounts/accounts.js';
import { InteractiveAuth } from './accounts/interactive-auth.js';
import { Registration } from './accounts/registration.js';
import { Tokens } from './accounts/tokens.js';
import { UserDirectory } from './accounts/user-directory.js';
import type { HomeserverConfig } from './config.js';
import type { Signer } from './crypto/signing.js';
import type { Database } from './db/database.js';
import { Devices } from './devices/devices.js';
import { DeviceMessages } from './devices/messages.js';
import { Federation } from './federation/federation.js';
import { Filters } from './filters/filters.js';
import { Authenticator } from './http/authenticate.js';
import { RateLimit } from './http/rate-limit.js';
import { KeyBackups } from './keys/backup.js';
import { CrossSigning } from './keys/cross-signing.js';
import { DeviceKeys } from './keys/device-keys.js';
import { DeviceLists } from './keys/device-lists.js';
import { type MediaFolder, MediaStore } from './media/media.js';
import { Thumbnails } from './media/thumbnails.js';
import { Feed } from './page/feed.js';
import { withRulings } from './page/rulings.js';
import { PresenceTracker } from './presence/presence.js';
import { PushRules } from './push/push-rules.js';
import { Unread } from './push/unread.js';
import { Receipts } from './receipts/receipts.js';
import { Typing } from './receipts/typing.js';
import { RoomCreator } from './rooms/create.js';
import { Directory } from './rooms/directory.js';
import { EventStore } from './rooms/events.js';
import { Memberships } from './rooms/memberships.js';
import { Sender } from './rooms/sender.js';
import { RoomUpgrader } from './rooms/upgrade.js';
import { Search } from './search/search.js';
import { Changes } from './sync/changes.js';
import { Notifier } from './sync/notifier.js';
import { RoomSync } from './sync/rooms.js';
import { Summaries } from './sync/summary.js';
import { Sync } from './sync/sync.js';

export interface Foundation {
  readonly config: HomeserverConfig;
  readonly logger: Logger;
  readonly db: Database;
  readonly mediaFolder: MediaFolder;
  readonly signer: Signer;
  readonly accounts: Accounts;
  readonly events: EventStore;
  readonly changes: Changes;
}

export async function layFoundation(parts: Omit<Foundation, 'accounts' | 'events' | 'changes'>): Promise<Foundation> {
  const accounts = new Accounts(parts.db, parts.config);
  const events = new EventStore(parts.db);
  await events.open();
  const changes = new Changes(parts.db);
  await changes.open();
  return { ...parts, accounts, events, changes };
}

export type Server = ReturnType<typeof buildServer>;

export function buildServer(foundation: Foundation, runtime: Modules) {
  const { config, logger, db, mediaFolder, signer, accounts, events, changes } = foundation;
  const feed = new Feed(runtime);
  const modules = withRulings(runtime, feed);
  const notifier = new Notifier();
  const limits = {
    login: new RateLimit(config.rateLimits.login),
    registration: new RateLimit(config.rateLimits.registration),
    message: new RateLimit(config.rateLimits.message),
  };
  const tokens = new Tokens(db, config.accessTokenLifetimeMs);
  const authenticator = new Authenticator(tokens, modules);
  const interactiveAuth = new InteractiveAuth(accounts, limits.login);
  const registration = new Registration(accounts, tokens, modules, config.enableRegistration);
  const userDirectory = new UserDirectory(db, events, modules);
  const sender = new Sender(events, modules, notifier, signer);
  const memberships = new Memberships(db, accounts, events, sender, modules, logger);
  const directory = new Directory(db, config, accounts, events, modules);
  const creator = new RoomCreator({ config, accounts, events, sender, memberships, directory, modules, logger });
  const upgrader = new RoomUpgrader({ config, events, sender, memberships, directory, modules, logger });
  const presence = new PresenceTracker(accounts, events, modules, notifier, logger);
  const filters = new Filters(db);
  const accountData = new AccountData(db, changes, notifier);
  const pushRules = new PushRules(db, changes, notifier);
  const receipts = new Receipts(db, events, accountData, changes, notifier);
  const typing = new Typing(events, notifier);
  const deviceLists = new DeviceLists(db, events, notifier);
  const deviceMessages = new DeviceMessages(db, changes, notifier);
  const deviceKeys = new DeviceKeys(db, changes, deviceLists);
  const devices = new Devices(db, tokens, changes, deviceLists, deviceKeys);
  const crossSigning = new CrossSigning(db, changes, deviceKeys, deviceLists);
  const keyBackups = new KeyBackups(db, changes);
  const summaries = new Summaries(db, events);
  const search = new Search(db, events, memberships);
  const sync = new Sync({
    events,
    memberships,
    presence,
    typing,
    changes,
    notifier,
    filters,
    rooms: new RoomSync(events, summaries),
    unread: new Unread(db, events, pushRules, summaries),
    parts: [accountData, pushRules, receipts, typing, deviceMessages, deviceLists, deviceKeys],
  });
  const media = new MediaStore(db, mediaFolder, modules, config.maxUploadSize);
  const servers = config.federation;
  const parts = { ...foundation, modules, sender, directory };
  const federation = servers && new Federation({ ...parts, servers });
  memberships.elsewhere = federation?.remoteRooms;
  const thumbnails = new Thumbnails(media);
  return {
    ...foundation,
    modules,
    feed,
    notifier,
    limits,
    tokens,
    authenticator,
    interactiveAuth,
    registration,
    userDirectory,
    sender,
    memberships,
    directory,
    creator,
    upgrader,
    presence,
    filters,
    accountData,
    pushRules,
    receipts,
    typing,
    devices,
    deviceMessages,
    deviceLists,
    deviceKeys,
    crossSigning,
    keyBackups,
    search,
    sync,
    media,
    federation,
    thumbnails,
  };
}
