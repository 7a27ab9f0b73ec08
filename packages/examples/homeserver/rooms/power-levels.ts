// Who may do what: the power levels of a room with the specification's defaults filled in.

import type { RoomEvent } from './event.js';

const DEFAULT_ACTION_LEVEL = 50;
const CREATOR_LEVEL = 100;

export type Action = 'ban' | 'kick' | 'redact' | 'invite';

export class PowerLevels {
  readonly #content: Readonly<Record<string, unknown>> | undefined;
  readonly #creator: string | undefined;

  /** @param creator the sender of m.room.create, who has 100 as long as nobody set levels */
  constructor(event: RoomEvent | undefined, creator: string | undefined) {
    this.#content = event?.content;
    this.#creator = creator;
  }

  user(userId: string): number {
    if (!this.#content) return userId === this.#creator ? CREATOR_LEVEL : 0;
    return level(record(this.#content.users)[userId]) ?? this.byDefault();
  }

  /** Those whose level is said of them by name, the most powerful first. */
  named(): readonly string[] {
    const userIds = this.#content ? Object.keys(record(this.#content.users)) : this.#creator ? [this.#creator] : [];
    return userIds.sort((a, b) => this.user(b) - this.user(a));
  }

  /** What everybody else has. */
  byDefault(): number {
    return level(this.#content?.users_default) ?? 0;
  }

  /** What sending an event of this type takes. */
  event(type: string, isState: boolean): number {
    const own = level(record(this.#content?.events)[type]);
    if (own !== undefined) return own;
    if (!isState) return level(this.#content?.events_default) ?? 0;
    return level(this.#content?.state_default) ?? (this.#content ? DEFAULT_ACTION_LEVEL : 0);
  }

  action(action: Action): number {
    return level(this.#content?.[action]) ?? (action === 'invite' ? 0 : DEFAULT_ACTION_LEVEL);
  }
}

/** Room versions 10 and later: integers only. */
export const level = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) ? (value as number) : undefined;

export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
