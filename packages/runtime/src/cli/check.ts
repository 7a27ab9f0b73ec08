// Starts the modules of a configuration as a homeserver would, but for nobody: without a homeserver behind the ModuleApi,
// and with storage that is removed again.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { snakeCase } from '@bulkhead/sdk/contract';
import { parseDocument } from 'yaml';
import { unaskedOf } from '../api/permissions.js';
import type { Permissions } from '../config/entry.js';
import { readConfig } from '../config/read.js';
import type { ModuleStatus, Modules } from '../modules.js';
import type { Logger } from '../observe/log.js';
import { createModuleRuntime } from '../runtime.js';

export interface Check {
  readonly serverName: string;
  readonly modules: readonly CheckedModule[];
  /** Warnings that concern no single module. */
  readonly notes: readonly Note[];
}

export interface CheckedModule {
  readonly id: string;
  /** As the file says it. */
  readonly module: string;
  /** `parked`: it could not be set up, and need not be. */
  readonly state: 'ready' | 'parked';
  readonly mode: 'enforce' | 'observe';
  /** In the spelling of the file. */
  readonly callbacks: readonly string[];
  readonly resources: readonly string[];
  readonly permissions: CheckedPermissions;
  /** Milliseconds from a warm cell to a module that is set up. */
  readonly startMs: number;
  /** In bytes; `null` when the cell did not say. */
  readonly memory: number | null;
  readonly memoryLimit: number;
  /** What the module, or the runtime about it, logged as a warning or an error. */
  readonly notes: readonly Note[];
}

/** All that a module asks for is granted: else it is not set up. */
export interface CheckedPermissions {
  readonly asked: Permissions;
  readonly granted: Permissions;
  /** Granted, but not asked for. */
  readonly unasked: Permissions;
}

export interface Note {
  readonly level: 'warn' | 'error';
  readonly message: string;
}

/** Cells tell their memory when they are asked for a sign of life, which is about once a second. */
const MEMORY_WITHIN_MS = 2_000;

/** @throws ConfigurationError */
export async function checkConfiguration(configFile: string, signal: AbortSignal): Promise<Check> {
  const storage = mkdtempSync(join(tmpdir(), 'bulkhead-check-'));
  const remove = (): void => rmSync(storage, { recursive: true, force: true });
  signal.addEventListener('abort', remove, { once: true });
  try {
    const serverName = serverNameIn(configFile);
    const notes = new Notes();
    const modules = await createModuleRuntime({
      spares: false,
      configFile,
      homeserver: { serverName },
      storage,
      logger: notes.logger,
    });
    try {
      const status = await withMemory(modules);
      return { serverName, modules: describe(configFile, status, notes), notes: notes.of(undefined) };
    } finally {
      await modules.close({ drainMs: 0 });
    }
  } finally {
    remove();
  }
}

/** The key belongs to the homeserver, so that it may be something else, or not there. */
export function serverNameIn(file: string): string {
  try {
    const name: unknown = parseDocument(readFileSync(file, 'utf8'), { logLevel: 'silent' }).get('server_name');
    return typeof name === 'string' && name !== '' ? name : 'localhost';
  } catch {
    // What is wrong with the file, the runtime says.
    return 'localhost';
  }
}

async function withMemory(modules: Modules): Promise<readonly ModuleStatus[]> {
  const deadline = performance.now() + MEMORY_WITHIN_MS;
  for (;;) {
    const status = modules.status();
    const waits = status.some(({ state, memory }) => state === 'running' && memory === undefined);
    if (!waits || performance.now() > deadline) return status;
    await sleep(50);
  }
}

function describe(file: string, status: readonly ModuleStatus[], notes: Notes): readonly CheckedModule[] {
  const { config } = readConfig({ file });
  return status.map((module) => ({
    id: module.id,
    module: module.specifier,
    state: module.state === 'running' ? 'ready' : 'parked',
    mode: module.mode,
    callbacks: module.callbacks.map(snakeCase),
    resources: module.resources,
    permissions: { ...module.permissions, unasked: unaskedOf(module.permissions.asked, module.permissions.granted) },
    startMs: Math.round(module.startMs),
    memory: module.memory ?? null,
    memoryLimit: config.modules.find(({ id }) => id === module.id)?.limits.memory ?? 0,
    notes: notes.of(module.id),
  }));
}

/** Keeps what is logged, by module. */
class Notes {
  readonly #notes: (Note & { readonly module: string | undefined })[] = [];

  readonly logger: Logger = {
    debug() {},
    info() {},
    warn: (fields, message) => this.#add('warn', fields, message),
    error: (fields, message) => this.#add('error', fields, message),
  };

  of(module: string | undefined): readonly Note[] {
    return this.#notes.filter((note) => note.module === module).map(({ level, message }) => ({ level, message }));
  }

  #add(level: Note['level'], fields: object, message: string): void {
    const { module } = fields as { readonly module?: unknown };
    this.#notes.push({ level, message, module: typeof module === 'string' ? module : undefined });
  }
}
