// What /sync is put together from. Each part adds what it has to tell; the sync knows none of them by name.

import type { Filter } from '../filters/filter.js';
import type { Member } from '../rooms/events.js';
import type { SyncToken } from './token.js';

export type Json = Record<string, unknown>;

/** One request's view: who asks, from where, up to where. */
export interface View {
  readonly userId: string;
  readonly deviceId: string | undefined;
  /** What he does is part of rooms as he sees them, and of nothing else. */
  readonly shadowBanned: boolean;
  readonly since: SyncToken | undefined;
  readonly until: SyncToken;
  readonly fullState: boolean;
  readonly filter: Filter;
  /** The user's, at `until`, in rooms that the filter lets pass. */
  readonly memberships: readonly Member[];
  readonly joined: readonly string[];
  /** Those of the joined rooms that the client does not know yet. */
  readonly begun: ReadonlySet<string>;
}

export interface Part {
  collect(view: View): Promise<Piece>;
}

/** What a part has to tell. Whatever is in here is news, and ends a long poll; but for `always`. */
export interface Piece {
  readonly accountData?: readonly Json[];
  /** By room, as `ephemeral`. */
  readonly roomAccountData?: ReadonlyMap<string, readonly Json[]>;
  readonly ephemeral?: ReadonlyMap<string, readonly Json[]>;
  readonly toDevice?: readonly Json[];
  readonly deviceLists?: { readonly changed: readonly string[]; readonly left: readonly string[] };
  /** Keys that stand in every answer. */
  readonly always?: Json;
  /** Positions of the next token, where a part did not tell everything up to `until`. */
  readonly next?: Partial<SyncToken>;
}
