// Whether a module is what the admin pinned and locked. The script is asked about before anything of it runs; what the module asks
// for is known when it was told its configuration.

import type { Fault, ModuleEntry } from '../config/entry.js';
import type { Bundle } from '../loading/bundle.js';
import { LOCK_FILE, type Lock, type LockedModule, type Permissions, permissionsInOrder } from './lock.js';

/** @returns what is wrong, by the key of the entry that it is about */
export function scriptFault(
  entry: ModuleEntry,
  { hash }: Bundle,
  lock: Lock | undefined,
): { readonly fault: Fault; readonly key: 'integrity' | 'module' } | undefined {
  const mismatch = pinFault(entry, hash);
  if (mismatch) return { fault: mismatch, key: 'integrity' };
  if (lock === undefined) return undefined;
  const locked = lock.modules.get(entry.id);
  if (locked === undefined) {
    const message = `${entry.id} is not in ${LOCK_FILE}`;
    return { fault: { code: 'NotLocked', message, hint: hintFor(entry, 'what it consists of') }, key: 'module' };
  }
  if (locked.script === hash) return undefined;
  return { fault: changed(entry, `its script is ${hash}, locked is ${locked.script}`), key: 'module' };
}

export function pinFault({ id, integrity }: ModuleEntry, hash: string): Fault | undefined {
  if (integrity === undefined || integrity === hash) return undefined;
  return {
    code: 'IntegrityMismatch',
    message: `the script of ${id} is not the one that is pinned: it is ${hash}`,
    hint: `if it shall be that one, write integrity: ${hash}`,
  };
}

export function asksFault(entry: ModuleEntry, asks: Permissions, lock: Lock | undefined): Fault | undefined {
  const locked: LockedModule | undefined = lock?.modules.get(entry.id);
  if (locked === undefined) return undefined;
  const [now, then] = [listed(asks), listed(locked.asks)];
  return now === then ? undefined : changed(entry, `it asks for ${now}, when it was locked for ${then}`);
}

const changed = (entry: ModuleEntry, how: string): Fault => ({
  code: 'ModuleChanged',
  message: `${entry.id} is not what it was: ${how}`,
  hint: hintFor(entry, 'what changed'),
});

function hintFor(entry: ModuleEntry, what: string): string {
  const file = entry.locate([])?.file;
  const [diff, lock] = ['diff', 'lock'].map((command) => `\`bulkhead ${command}${file ? ` ${file}` : ''}\``);
  return `${diff} shows ${what}, ${lock} accepts it`;
}

function listed(permissions: Permissions): string {
  const groups = Object.entries(permissionsInOrder(permissions));
  return groups.length === 0 ? 'nothing' : groups.map(([group, values]) => `${group}: ${values.join(', ')}`).join('; ');
}
