// The list of modules: what each entry says on top of the defaults.

import { USUAL_PATHS } from '../api/paths.js';
import type { ModuleEntry, Path } from './entry.js';
import { describe, isMapping } from './expected.js';
import { pathText } from './problem.js';
import type { Problems } from './problems.js';
import { Entry, type Settings } from './schema.js';
import type { Source } from './source.js';

/** The entries that are right enough to go on with, each with an id of its own. */
export function readEntries(source: Source, defaults: Settings, baseDir: string, problems: Problems): ModuleEntry[] {
  const list = source.modules ?? [];
  if (!Array.isArray(list)) {
    problems.add(
      { code: 'InvalidValue', message: `expected a list of modules, got ${describe(list)}`, hint: undefined },
      ['modules'],
    );
    return [];
  }
  const entries = list.flatMap((raw: unknown, index) => {
    const path = ['modules', index];
    const checked = problems.check(Entry, raw, path);
    // Without the isolation that was meant, or with a value missing, whatever came later would be a false alarm. Without the
    // pin that was meant, a script might run that was not.
    if (!checked || checked.broken.has('isolation') || checked.broken.has('integrity') || problems.touches(path))
      return [];
    const locate = (inner: Path) => source.place([...path, ...inner], 'value');
    // An id that is wrong still tells entries apart.
    const id = checked.broken.has('id') && isMapping(raw) ? String(raw.id) : checked.value.id;
    const entry = toEntry({ ...checked.value, id }, defaults, baseDir, pathText(path), locate);
    if (entry.isolation === 'thread' && checked.value.hull === 'shared') {
      const message = 'a module with "isolation: thread" has a hull of its own';
      problems.add({ code: 'InvalidValue', message, hint: 'remove this key' }, [...path, 'hull'], entry.id);
    }
    return [entry];
  });
  return withUniqueIds(entries, problems);
}

const MIB = 2 ** 20;

function toEntry(
  own: Entry,
  defaults: Settings,
  baseDir: string,
  path: string,
  locate: ModuleEntry['locate'],
): ModuleEntry {
  const limits = { ...defaults.limits, ...own.limits };
  const breaker = { ...defaults.breaker, ...own.breaker };
  const permissions = { ...defaults.permissions, ...own.permissions };
  const isolation = own.isolation ?? defaults.isolation ?? 'compartment';
  return {
    id: own.id ?? own.module,
    specifier: own.module,
    baseDir,
    config: own.config ?? {},
    timeout: own.timeout ?? defaults.timeout,
    timeouts: { ...defaults.timeouts, ...own.timeouts },
    setupTimeout: own.setup_timeout ?? defaults.setup_timeout ?? 30_000,
    onFailure: own.on_failure ?? defaults.on_failure,
    onFailures: { ...defaults.on_failures, ...own.on_failures },
    required: own.required ?? defaults.required ?? true,
    mode: own.mode ?? defaults.mode ?? 'enforce',
    isolation,
    hull: isolation === 'thread' ? 'own' : (own.hull ?? defaults.hull ?? 'shared'),
    instances: own.instances ?? defaults.instances ?? 1,
    limits: {
      memory: limits.memory ?? 64 * MIB,
      result: limits.result,
      callsInFlight: limits.calls_in_flight ?? 1000,
      apiCalls: limits.api_calls ?? 1000,
      cpu: limits.cpu ?? 1,
      hostTime: limits.host_time ?? 0.2,
      storage: limits.storage ?? 64 * MIB,
    },
    breaker: { failures: breaker.failures ?? 5, window: breaker.window ?? 60_000 },
    permissions: {
      network: permissions.network ?? [],
      users: permissions.users ?? [],
      rooms: permissions.rooms ?? [],
      web: permissions.web ?? [],
      web_paths: permissions.web_paths ?? USUAL_PATHS,
    },
    integrity: own.integrity,
    path,
    locate,
  };
}

/** An entry whose id is taken goes on under the id that the hint proposes, so that its other problems are found too. */
function withUniqueIds(entries: readonly ModuleEntry[], problems: Problems): ModuleEntry[] {
  const holders = new Map<string, ModuleEntry>();
  const written = new Set(entries.map((entry) => entry.id));
  return entries.map((entry) => {
    const holder = holders.get(entry.id);
    if (!holder) {
      holders.set(entry.id, entry);
      return entry;
    }
    const id = freeId(entry.id, (candidate) => written.has(candidate) || holders.has(candidate));
    problems.duplicateId(entry, holder, id);
    const renamed = { ...entry, id };
    holders.set(id, renamed);
    return renamed;
  });
}

/** `./modules/demo.ts#DemoModule` -> `demomodule-2` */
function freeId(id: string, isTaken: (id: string) => boolean): string {
  const name = id.slice(Math.max(id.lastIndexOf('#'), id.lastIndexOf('.'), id.lastIndexOf('/')) + 1).toLowerCase();
  const stem =
    name
      .replace(/-\d+$/, '')
      .replace(/[^a-z0-9_-]+/g, '-')
      .slice(0, 56) || 'module';
  let number = 2;
  while (isTaken(`${stem}-${number}`)) number++;
  return `${stem}-${number}`;
}
