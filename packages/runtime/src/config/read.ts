// A configuration file in, validated entries out. Nothing throws: all that is wrong is collected, and what is right is
// returned beside it, so that later stages can report their problems in the same run.

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { readEntries } from './entries.js';
import type { Problem, RuntimeConfig } from './entry.js';
import { Problems } from './problems.js';
import { Bulkhead, Settings } from './schema.js';
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
  return { config: emptyConfig(baseDir), problems: [text] };
}

/** Each takes a core for a fifth of a second. */
const DEFAULT_RESTARTS = 60;
const DEFAULT_STORAGE = 'module-data';

const emptyConfig = (baseDir: string): RuntimeConfig => ({
  containment: undefined,
  fanOut: 'parallel',
  fanOuts: {},
  storage: resolve(baseDir, DEFAULT_STORAGE),
  restartsPerMinute: DEFAULT_RESTARTS,
  sandbox: 'auto',
  spares: true,
  modules: [],
});

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
  const modules = readEntries(source, defaults, baseDir, problems);
  const { fan_out: fanOut } = bulkhead;
  const config: RuntimeConfig = {
    containment: bulkhead.containment,
    fanOut: typeof fanOut === 'string' ? fanOut : 'parallel',
    fanOuts: typeof fanOut === 'object' ? fanOut : {},
    storage: resolve(baseDir, bulkhead.storage ?? DEFAULT_STORAGE),
    sandbox: bulkhead.sandbox ?? 'auto',
    spares: bulkhead.spares ?? true,
    restartsPerMinute: bulkhead.restarts_per_minute ?? DEFAULT_RESTARTS,
    modules,
  };
  return { config, problems: problems.inOrder() };
}
