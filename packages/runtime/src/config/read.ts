// A configuration file in, validated entries out. Nothing throws: all that is wrong is collected, and what is right is
// returned beside it, so that later stages can report their problems in the same run.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import type { Fault, ModuleEntry, Path, Problem, RuntimeConfig } from './entry.js';
import { decodeFault, describe, isMapping } from './expected.js';
import { pathText } from './problem.js';
import { Bulkhead, Entry, Settings } from './schema.js';
import type { Source } from './source.js';
import { readValue } from './value.js';
import { readYaml } from './yaml.js';

export type ConfigSource =
  | { readonly file: string }
  /** `file` names the text in messages, and its folder is what paths are relative to. */
  | { readonly text: string; readonly file: string }
  /** Parsed already. `baseDir` is what paths are relative to; the working directory unless given. */
  | { readonly value: unknown; readonly baseDir?: string };

export interface ReadConfig {
  readonly config: RuntimeConfig;
  /** In the order of the file. With any, `config` is good for finding more problems only. */
  readonly problems: readonly Problem[];
}

export function readConfig(source: ConfigSource): ReadConfig {
  if ('value' in source) return interpret(readValue(source.value), resolve(source.baseDir ?? '.'));
  const baseDir = dirname(resolve(source.file));
  if ('text' in source) return interpret(readYaml(source.text, source.file), baseDir);
  const text = readText(source.file);
  if (typeof text === 'string') return interpret(readYaml(text, source.file), baseDir);
  return { config: emptyConfig, problems: [text] };
}

const emptyConfig: RuntimeConfig = {
  containment: undefined,
  fanOut: 'parallel',
  fanOuts: {},
  storage: undefined,
  modules: [],
};

function readText(file: string): string | Problem {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return {
      code: 'FileNotReadable',
      message: `${file} cannot be read: ${READ_FAILURES[code ?? ''] ?? (error as Error).message}`,
      module: undefined,
      place: undefined,
      hint: code === 'ENOENT' ? `looked for ${resolve(file)}` : undefined,
    };
  }
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8',
};

function interpret(source: Source, baseDir: string): ReadConfig {
  const problems = new Problems(source);
  const bulkhead = problems.check(Bulkhead, source.bulkhead ?? {}, ['bulkhead'])?.value ?? {};
  const defaults = problems.check(Settings, source.module_defaults ?? {}, ['module_defaults'])?.value ?? {};
  const modules = withUniqueIds(readEntries(source, defaults, baseDir, problems), problems);
  const { fan_out: fanOut } = bulkhead;
  const config: RuntimeConfig = {
    containment: bulkhead.containment,
    fanOut: typeof fanOut === 'string' ? fanOut : 'parallel',
    fanOuts: typeof fanOut === 'object' ? fanOut : {},
    storage: bulkhead.storage === undefined ? undefined : resolve(baseDir, bulkhead.storage),
    modules,
  };
  return { config, problems: problems.inOrder() };
}

function readEntries(source: Source, defaults: Settings, baseDir: string, problems: Problems): ModuleEntry[] {
  const list = source.modules ?? [];
  if (!Array.isArray(list)) {
    problems.add(
      { code: 'InvalidValue', message: `expected a list of modules, got ${describe(list)}`, hint: undefined },
      ['modules'],
    );
    return [];
  }
  return list.flatMap((raw: unknown, index) => {
    const path = ['modules', index];
    const checked = problems.check(Entry, raw, path);
    // Without the isolation that was meant, or with a value missing, whatever came later would be a false alarm.
    if (!checked || checked.broken.has('isolation') || problems.touches(path)) return [];
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
    limits: {
      memory: limits.memory ?? 64 * MIB,
      result: limits.result,
      callsInFlight: limits.calls_in_flight ?? 1000,
      storage: limits.storage ?? 64 * MIB,
    },
    breaker: { failures: breaker.failures ?? 5, window: breaker.window ?? 60_000 },
    permissions: {
      network: permissions.network ?? [],
      users: permissions.users ?? [],
      rooms: permissions.rooms ?? [],
      web: permissions.web ?? [],
    },
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

interface Checked<T> {
  readonly value: T;
  /** The keys that were wrong and are left out of the value. */
  readonly broken: ReadonlySet<string>;
}

/** The problems of one source, each with its place. */
class Problems {
  readonly #source: Source;
  readonly #found: Problem[] = [];

  constructor(source: Source) {
    this.#source = source;
    for (const { path, place, ...fault } of source.faults) {
      this.#found.push({ ...fault, module: this.#moduleAt(path), path: pathText(path) || undefined, place });
    }
  }

  /** Validates what it can: keys that are wrong are reported and left out. `undefined` if nothing is left to go on with. */
  check<T>(schema: v.GenericSchema<unknown, T>, input: unknown, root: Path): Checked<T> | undefined {
    const result = v.safeParse(schema, input);
    if (result.success) return { value: result.output, broken: new Set() };
    const broken = new Set<string>();
    for (const issue of result.issues) {
      const inner = (issue.path ?? []).map(({ key }) => key as string | number);
      broken.add(String(inner[0]));
      const path = [...root, ...inner];
      const fault = decodeFault(issue.message);
      if (!this.touches(path)) this.add(fault, path, undefined, fault.code === 'InvalidValue' ? 'value' : 'key');
    }
    if (!isMapping(input)) return undefined;
    const rest = Object.fromEntries(Object.entries(input).filter(([key]) => !broken.has(key)));
    const second = v.safeParse(schema, rest);
    return second.success ? { value: second.output, broken } : undefined;
  }

  add(fault: Fault, path: Path, module = this.#moduleAt(path), of: 'key' | 'value' = 'value'): void {
    this.#found.push({ ...fault, module, path: pathText(path), place: this.#source.place(path, of) });
  }

  duplicateId(entry: ModuleEntry, holder: ModuleEntry, id: string): void {
    const line = holder.locate([])?.line;
    this.#found.push({
      code: 'DuplicateId',
      message: `the id ${JSON.stringify(entry.id)} is taken by ${holder.path}${line ? ` in line ${line}` : ''}`,
      hint: `${entry.id === entry.specifier ? 'add this line' : 'give it another'}: id: ${id}`,
      module: entry.id,
      path: entry.path,
      place: entry.locate(['id']),
    });
  }

  /** Whether something at, above or below the path could not be read. */
  touches(path: Path): boolean {
    return this.#source.faults.some((fault) =>
      fault.path.every((part, index) => index >= path.length || part === path[index]),
    );
  }

  inOrder(): readonly Problem[] {
    const line = ({ place }: Problem) => place?.line ?? 0;
    const column = ({ place }: Problem) => place?.column ?? 0;
    return this.#found.toSorted((a, b) => line(a) - line(b) || column(a) - column(b));
  }

  #moduleAt([section, index]: Path): string | undefined {
    if (section !== 'modules' || typeof index !== 'number' || !Array.isArray(this.#source.modules)) return undefined;
    const raw: unknown = this.#source.modules[index];
    if (!isMapping(raw)) return undefined;
    return [raw.id, raw.module].find((name): name is string => typeof name === 'string');
  }
}
