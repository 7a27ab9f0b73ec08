// Shows the presence of some users to others with whom they share no room.

import { type ModuleApi, PRESENCE_ALL_USERS, type UserPresenceState, v } from '@bulkhead/sdk';

const UserId = v.pipe(v.string(), v.regex(/^@[^:]+:.+$/, 'expected a user id such as @alice:example.com'));

const Config = v.strictObject({
  /** Who sees whom. */
  users: v.record(
    UserId,
    v.union([v.literal(PRESENCE_ALL_USERS), v.array(UserId)], `expected ${PRESENCE_ALL_USERS} or a list of user ids`),
  ),
});
type Config = v.InferOutput<typeof Config>;

export class PresenceRouter {
  static parseConfig(config: unknown): Config {
    return v.parse(Config, config);
  }

  /** Who sees everybody, and each user's watchers: the configuration turned round, once. */
  private readonly watchEverybody: readonly string[];
  private readonly watchers: ReadonlyMap<string, readonly string[]>;
  private readonly watched: ReadonlyMap<string, typeof PRESENCE_ALL_USERS | readonly string[]>;

  constructor({ users }: Config, api: ModuleApi) {
    this.watched = new Map(Object.entries(users));
    this.watchEverybody = Object.keys(users).filter((watcher) => users[watcher] === PRESENCE_ALL_USERS);
    const watchers = new Map<string, string[]>();
    for (const [watcher, seen] of Object.entries(users)) {
      if (seen !== PRESENCE_ALL_USERS) for (const user of seen) append(watchers, user, watcher);
    }
    this.watchers = watchers;

    // Each requires the other: one answers who is to be told, the other whom somebody is told of.
    api.registerPresenceRouterCallbacks({
      getUsersForStates: this.getUsersForStates,
      getInterestedUsers: this.getInterestedUsers,
    });
  }

  getUsersForStates(states: readonly UserPresenceState[]): Map<string, UserPresenceState[]> {
    const routed = new Map<string, UserPresenceState[]>();
    for (const state of states) {
      const watchers = [...this.watchEverybody, ...(this.watchers.get(state.user_id) ?? [])];
      for (const watcher of watchers) append(routed, watcher, state);
    }
    return routed;
  }

  getInterestedUsers(userId: string): typeof PRESENCE_ALL_USERS | readonly string[] {
    return this.watched.get(userId) ?? [];
  }
}

function append<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
}
