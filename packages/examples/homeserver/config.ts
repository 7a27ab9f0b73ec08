// The homeserver's own keys of homeserver.yaml. `bulkhead`, `modules` and `module_defaults` in the same file are the
// module runtime's, which reads them itself.

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { closeNames, ServerName, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { parse, type ScalarTag } from 'yaml';

export interface HomeserverConfig {
  readonly serverName: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** An absolute path; `undefined`: everything in memory. */
  readonly dataDir: string | undefined;
  /** User ids of the server's admins. They need not be registered yet. */
  readonly admins: ReadonlySet<string>;
  readonly enableRegistration: boolean;
  /** In bytes. */
  readonly maxUploadSize: number;
}

const MEBIBYTE = 1 << 20;
const IN_MEMORY = ':memory:';

const Port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));

/** Names as in Synapse's homeserver.yaml where it has the key. */
const keys = {
  server_name: v.optional(ServerName, 'localhost'),
  listen: v.optional(v.strictObject({ host: v.optional(v.string(), '127.0.0.1'), port: v.optional(Port, 8008) }), {}),
  /** A folder, or `:memory:`. */
  data: v.optional(v.pipe(v.string(), v.nonEmpty()), './data'),
  admins: v.optional(v.array(UserId), []),
  enable_registration: v.optional(v.boolean(), true),
  /** In bytes. */
  max_upload_size: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 50 * MEBIBYTE),
};

const NOT_OURS = ['bulkhead', 'modules', 'module_defaults'];

/** What the caller of createHomeserver says instead of the file, or against it. */
export interface ConfigOverrides {
  readonly serverName?: string | undefined;
  readonly listen?: Partial<HomeserverConfig['listen']> | undefined;
  readonly dataDir?: string | undefined;
  /** Nothing is kept: for tests, and to try things out. */
  readonly memory?: boolean | undefined;
  readonly admins?: readonly string[] | undefined;
  readonly enableRegistration?: boolean | undefined;
  readonly maxUploadSize?: number | undefined;
}

/** @throws Error with everything that is wrong, one line each */
export async function loadConfig(file: string | undefined, overrides: ConfigOverrides): Promise<HomeserverConfig> {
  const fromFile = file === undefined ? {} : readYaml(await readFile(file, 'utf8'));
  const baseDir = file === undefined ? process.cwd() : dirname(resolve(file));
  return parseConfig({ ...fromFile, ...overridden(overrides) }, baseDir, file);
}

function parseConfig(value: Readonly<Record<string, unknown>>, baseDir: string, file?: string): HomeserverConfig {
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => !NOT_OURS.includes(key)));
  const result = v.safeParse(v.strictObject(keys), own);
  if (!result.success) throw new Error(result.issues.map((issue) => describe(issue, file)).join('\n'));
  const { server_name, listen, data, admins, enable_registration, max_upload_size } = result.output;
  return {
    serverName: server_name,
    listen,
    dataDir: data === IN_MEMORY ? undefined : resolve(baseDir, data),
    admins: new Set(admins),
    enableRegistration: enable_registration,
    maxUploadSize: max_upload_size,
  };
}

function overridden(overrides: ConfigOverrides): Record<string, unknown> {
  const given = {
    server_name: overrides.serverName,
    listen: overrides.listen,
    data: overrides.memory ? IN_MEMORY : overrides.dataDir && resolve(overrides.dataDir),
    admins: overrides.admins,
    enable_registration: overrides.enableRegistration,
    max_upload_size: overrides.maxUploadSize,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function describe(issue: v.BaseIssue<unknown>, file = 'configuration'): string {
  const path = v.getDotPath(issue) ?? '';
  if (issue.expected !== 'never') return `${file}: ${path}: ${issue.message}`;
  const [close] = closeNames(path, Object.keys(keys));
  return `${file}: ${path}: unknown key${close ? `, did you mean ${close}?` : ''}`;
}

/** YAML 1.1 as the module runtime reads it, so that `yes` means the same everywhere in the file. */
function readYaml(text: string): Record<string, unknown> {
  const value: unknown = parse(text, {
    version: '1.1',
    merge: true,
    customTags: (tags) => [...tags, env],
    logLevel: 'error',
  });
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error('The configuration must be a mapping');
  return value as Record<string, unknown>;
}

const env: ScalarTag = {
  tag: '!env',
  resolve: (name, onError) => process.env[name] ?? onError(`The environment has no ${name}`),
};
