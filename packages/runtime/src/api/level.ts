// The storage backend that needs no server: one LevelDB folder. What was acknowledged survives the death of the process;
// a power cut may take the last moments, never the rest.

import { mkdir } from 'node:fs/promises';
import { ClassicLevel } from 'classic-level';
import { type StorageBackend, StorageError } from './backend.js';

/** @throws StorageError */
export async function openLevel(directory: string): Promise<StorageBackend> {
  const db = new ClassicLevel<Uint8Array, Uint8Array>(directory, { keyEncoding: 'view', valueEncoding: 'view' });
  try {
    // Modules keep what users told them: nobody else's business on a shared machine.
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await db.open();
  } catch (error) {
    throw cannotOpen(directory, error);
  }
  return {
    get: (key) => db.get(key),
    write: (changes) =>
      db.batch(
        changes.map(({ key, value }) =>
          value === undefined ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
        ),
      ),
    scan: (from, to) => db.iterator({ gte: from, lt: to }),
    close: () => db.close(),
  };
}

function cannotOpen(directory: string, error: unknown): StorageError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED') {
    return new StorageError(
      'StorageLocked',
      `the storage folder ${directory} is in use by another process (or by another runtime in this one): ` +
        'stop that one, or give each server a folder of its own with "bulkhead: { storage: ./folder }"',
      { cause },
    );
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new StorageError(
    'StorageUnusable',
    `the storage folder ${directory} cannot be opened (${reason}): ` +
      'check that the server may write there; if it is damaged, restore it from a backup, or move it away to start empty',
    { cause },
  );
}
