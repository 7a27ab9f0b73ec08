// `bulkhead lock` and `bulkhead diff`: what the modules are now, held against what they were when they were locked.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { grantedBy, withoutUsual } from '../api/permissions.js';
import { ConfigurationError, inOrder, problemAt } from '../config/problem.js';
import { readConfig } from '../config/read.js';
import { type Comparison, compareLocks } from '../integrity/compare.js';
import { describeModule } from '../integrity/describe.js';
import { type Lock, type LockedModule, lockFileBeside, lockText, readLock } from '../integrity/lock.js';
import { pinFault } from '../integrity/verify.js';
import { inspectModules } from '../supervision/inspect.js';
import { version } from '../version.js';
import { serverNameIn } from './check.js';

export interface Compared extends Comparison {
  readonly lockFile: string;
}

export interface Locked extends Compared {
  /** Whether the file is another one now. */
  readonly written: boolean;
  /** How many modules it holds. */
  readonly size: number;
}

/** @throws ConfigurationError */
export async function lockModules(configFile: string): Promise<Locked> {
  const lockFile = lockFileBeside(configFile);
  const found = await inspect(configFile, 'pins hold');
  const text = lockText(found);
  // One that is damaged is replaced like any other.
  const before = readLock(lockFile);
  const written = contentOf(lockFile) !== text;
  if (written) replaceFile(lockFile, text);
  const locked = before.state === 'read' ? before.lock : undefined;
  return { lockFile, written, size: found.modules.size, ...compareLocks(locked, found) };
}

/** @throws ConfigurationError */
export async function diffModules(configFile: string): Promise<Compared> {
  const lockFile = lockFileBeside(configFile);
  const locked = readLock(lockFile);
  if (locked.state === 'damaged') throw new ConfigurationError(locked.problems);
  if (locked.state === 'none') {
    const message = `there is no ${lockFile}`;
    const hint = `\`bulkhead lock ${configFile}\` writes it`;
    throw new ConfigurationError([{ code: 'LockUnreadable', message, module: undefined, place: undefined, hint }]);
  }
  const found = await inspect(configFile, 'pins may not hold');
  return { lockFile, ...compareLocks(locked.lock, found) };
}

async function inspect(file: string, pins: 'pins hold' | 'pins may not hold'): Promise<Lock> {
  const { config, problems } = readConfig({ file });
  // With a configuration that does not say what was meant, no module is loaded.
  if (problems.length > 0) throw new ConfigurationError(problems);
  const inspection = await inspectModules(config.modules, {
    serverName: serverNameIn(file),
    containment: config.containment,
    sandbox: config.sandbox,
  });
  const unpinned = inspection.modules.flatMap(({ entry, bundle }) => {
    const fault = pins === 'pins hold' ? pinFault(entry, bundle.hash) : undefined;
    return fault ? [problemAt(entry, fault, ['integrity'])] : [];
  });
  const found = [...inspection.problems, ...unpinned];
  if (found.length > 0) throw new ConfigurationError(inOrder(found));
  const modules = new Map<string, LockedModule>();
  for (const { entry, bundle, asked } of inspection.modules) {
    const permissions = { asks: asked, granted: withoutUsual(grantedBy(entry)) };
    modules.set(entry.id, await describeModule(entry, bundle, permissions));
  }
  return { runtime: version(), modules };
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** At once: a server that starts meanwhile finds the old lock or the new one. */
function replaceFile(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(draft, text);
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
