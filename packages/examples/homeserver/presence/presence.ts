// Who is there. Kept in memory: after a restart nobody is, until he syncs.

import type { Logger, Modules } from '@bulkhead/runtime';
import type { UserPresenceState } from '@bulkhead/sdk/contract';
import type { Accounts } from '../accounts/accounts.js';
import type { EventStore } from '../rooms/events.js';
import type { Interest, Notifier } from '../sync/notifier.js';

export type Presence = 'online' | 'offline' | 'unavailable';

interface Entry {
  readonly position: number;
  readonly state: UserPresenceState;
  /** A shadow-banned user's: nobody else sees it. */
  readonly hidden: boolean;
}

const OFFLINE_AFTER_MS = 30_000;
const IDLE_AFTER_MS = 5 * 60_000;
const SWEEP_MS = 5_000;

export class PresenceTracker {
  readonly #accounts: Accounts;
  readonly #events: EventStore;
  readonly #modules: Modules;
  readonly #notifier: Notifier;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry>();
  /** What modules routed to users who share no room with the one it is about: receiver, then subject. */
  readonly #routed = new Map<string, Map<string, Entry>>();
  readonly #syncing = new Map<string, number>();
  readonly #sweep: NodeJS.Timeout;
  /** Begins at the time, so that a token from before a restart is older than what comes after it. */
  #position = Date.now();

  constructor(accounts: Accounts, events: EventStore, modules: Modules, notifier: Notifier, logger: Logger) {
    this.#accounts = accounts;
    this.#events = events;
    this.#modules = modules;
    this.#notifier = notifier;
    this.#logger = logger;
    this.#sweep = setInterval(() => this.#retire(), SWEEP_MS);
    this.#sweep.unref();
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  get position(): number {
    return this.#position;
  }

  get(userId: string): UserPresenceState {
    return this.#entries.get(userId)?.state ?? absent(userId);
  }

  /** Settles when those who are to know can see it. */
  async set(userId: string, presence: Presence, statusMessage?: string | null): Promise<void> {
    const now = Date.now();
    await this.#update({
      ...this.get(userId),
      state: presence,
      currently_active: presence === 'online',
      last_active_ts: presence === 'offline' ? this.get(userId).last_active_ts : now,
      ...(statusMessage === undefined ? {} : { status_msg: statusMessage }),
    });
  }

  /** A client syncs: the user is there for as long as it does, and a moment longer. */
  async syncing<T>(userId: string, presence: Presence, sync: () => Promise<T>): Promise<T> {
    if (presence === 'offline') return sync();
    this.#syncing.set(userId, (this.#syncing.get(userId) ?? 0) + 1);
    const before = this.get(userId);
    const now = Date.now();
    const active = presence === 'online';
    this.#publish({
      ...before,
      state: presence,
      currently_active: active,
      last_active_ts: active ? now : before.last_active_ts,
      last_user_sync_ts: now,
    });
    try {
      return await sync();
    } finally {
      const others = (this.#syncing.get(userId) ?? 1) - 1;
      if (others > 0) this.#syncing.set(userId, others);
      else this.#syncing.delete(userId);
      const entry = this.#entries.get(userId);
      if (entry) {
        const state = { ...entry.state, last_user_sync_ts: Date.now() };
        this.#entries.set(userId, { ...entry, state });
      }
    }
  }

  /** Whose presence a user receives besides those who share a room with him. Asked once for each /sync. */
  async interestOf(userId: string): Promise<Interest> {
    const { users } = await this.#modules.presenceRouter.getInterestedUsers(userId);
    return users;
  }

  /** The users whose presence changed after a position; everybody who is not offline when there is none. */
  subjects(after: number | undefined): readonly string[] {
    return [...this.#entries]
      .filter(([, { position, state }]) => (after === undefined ? state.state !== 'offline' : position > after))
      .map(([userId]) => userId);
  }

  /**
   * What changed after a position, of the users whom the receiver follows, and what modules routed to him.
   * @param known users to tell of whether they changed or not, because the receiver has only begun to follow them
   */
  changes(
    receiver: string,
    follows: (userId: string) => boolean,
    after: number,
    known: ReadonlySet<string>,
  ): readonly UserPresenceState[] {
    const found = new Map<string, UserPresenceState>();
    for (const [subject, { position, state }] of this.#routed.get(receiver) ?? []) {
      if (position > after) found.set(subject, state);
    }
    for (const [subject, { position, state, hidden }] of this.#entries) {
      if (hidden && subject !== receiver) continue;
      if (known.has(subject) || (position > after && follows(subject))) found.set(subject, state);
    }
    return [...found.values()];
  }

  /** Everybody who is not offline, of the users whom the receiver follows. */
  present(receiver: string, follows: (userId: string) => boolean): readonly UserPresenceState[] {
    return [...this.#entries.values()]
      .filter(({ state, hidden }) => state.state !== 'offline' && (!hidden || state.user_id === receiver))
      .map(({ state }) => state)
      .filter(({ user_id }) => follows(user_id));
  }

  #publish(state: UserPresenceState): void {
    this.#update(state).catch((error: unknown) =>
      this.#logger.error({ err: error, userId: state.user_id }, 'Presence did not reach everybody'),
    );
  }

  async #update(state: UserPresenceState): Promise<void> {
    const userId = state.user_id;
    const before = this.#entries.get(userId);
    if (before && sameToOthers(before.state, state)) {
      this.#entries.set(userId, { ...before, state });
      return;
    }
    const hidden = before?.hidden ?? (await this.#accounts.find(userId))?.shadowBanned ?? true;
    this.#entries.set(userId, { position: ++this.#position, state, hidden });
    if (hidden) this.#notifier.usersChanged([userId]);
    else await this.#fanOut(state);
  }

  async #fanOut(state: UserPresenceState): Promise<void> {
    const { users } = await this.#modules.presenceRouter.getUsersForStates([state]);
    // Names that are nobody's would be kept for ever.
    const receivers = await this.#accounts.existing([...users.keys()]);
    for (const receiver of receivers) {
      const routed = this.#routed.get(receiver) ?? new Map<string, Entry>();
      // A position of its own: the receiver may have synced past the change while the modules were asked.
      for (const routedState of users.get(receiver) ?? []) {
        routed.set(routedState.user_id, { position: ++this.#position, state: routedState, hidden: false });
      }
      this.#routed.set(receiver, routed);
    }
    this.#notifier.usersChanged([...receivers]);
    this.#notifier.presenceChanged(state.user_id, await this.#events.joinedRooms(state.user_id));
  }

  #retire(): void {
    const now = Date.now();
    for (const [userId, { state }] of this.#entries) {
      if (state.state === 'offline') continue;
      const gone =
        !this.#syncing.has(userId) && now - Math.max(state.last_user_sync_ts, state.last_active_ts) > OFFLINE_AFTER_MS;
      if (gone) this.#publish({ ...state, state: 'offline', currently_active: false });
      else if (state.state === 'online' && now - state.last_active_ts > IDLE_AFTER_MS) {
        this.#publish({ ...state, state: 'unavailable', currently_active: false });
      }
    }
  }
}

const absent = (userId: string): UserPresenceState => ({
  user_id: userId,
  state: 'offline',
  last_active_ts: 0,
  last_federation_update_ts: 0,
  last_user_sync_ts: 0,
  status_msg: null,
  currently_active: false,
});

const sameToOthers = (a: UserPresenceState, b: UserPresenceState) =>
  a.state === b.state && a.status_msg === b.status_msg && a.currently_active === b.currently_active;

/** The content of a m.presence event, and of the answer to GET. */
export const presenceContent = (state: UserPresenceState) => ({
  presence: state.state,
  currently_active: state.currently_active,
  ...(state.last_active_ts === 0 ? {} : { last_active_ago: Math.max(0, Date.now() - state.last_active_ts) }),
  ...(state.status_msg ? { status_msg: state.status_msg } : {}),
});
