// What was read, before anybody looked at what it says: our three top-level sections as plain data, and where each
// value stands. Other top-level keys belong to the homeserver and are not looked at.

import type { Fault, Path, Place } from './entry.js';

export const SECTIONS = ['bulkhead', 'module_defaults', 'modules'] as const;

export interface Source {
  readonly bulkhead: unknown;
  readonly module_defaults: unknown;
  readonly modules: unknown;
  readonly faults: readonly FaultAt[];
  /** `key`: where the path's last key stands, rather than its value. */
  readonly place: (path: Path, of: 'key' | 'value') => Place | undefined;
}

/** A path that holds a fault has `null` in the data; nothing should be said about that `null`. */
export interface FaultAt extends Fault {
  readonly path: Path;
  readonly place: Place | undefined;
}

/** Deeper data would not cross to a cell. */
export const DEEPEST = 100;
