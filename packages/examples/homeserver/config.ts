// The homeserver's own keys of homeserver.yaml. `bulkhead`, `modules` and `module_defaults` in the same file are the
// module runtime's, which reads them itself.

import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { closeNames, ServerName, UserId } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument, type ScalarTag } from 'yaml';
import type { Rate } from './http/rate-limit.js';

export interface HomeserverConfig {
  readonly serverName: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** An absolute path; `undefined`: everything in memory. */
  readonly dataDir: string | undefined;
  /** The address of a PostgreSQL database; `undefined`: the embedded one, in `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** User ids of the server's admins. They need not be registered yet. */
  readonly admins: ReadonlySet<string>;
  readonly enableRegistration: boolean;
  /** In bytes. */
  readonly maxUploadSize: number;
  /** Where other servers are, by name; `undefined`: this server knows no others, and has no federation API. */
  readonly federation: ReadonlyMap<string, string> | undefined;
  /** Where clients reach the server; what /.well-known/matrix/client says. */
  readonly publicBaseUrl: string | undefined;
  /** How long an access token lives that can be refreshed, in milliseconds. */
  readonly accessTokenLifetimeMs: number;
  readonly rateLimits: RateLimits;
}

export interface RateLimits {
  readonly login: Rate;
  readonly registration: Rate;
  readonly message: Rate;
}

const MEBIBYTE = 1 << 20;
const IN_MEMORY = ':memory:';

const Port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));

const DatabaseUrl = v.pipe(
  v.string(),
  v.check(
    (text) => /^postgres(ql)?:/.test(text) && URL.canParse(text),
    'expected an address like postgresql://user:password@host:5432/name',
  ),
);
/** A server is believed what its URL answers, so nobody in between may answer for it. */
const isSafe = (text: string): boolean => {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || (protocol === 'http:' && (/^127\.[\d.]+$/.test(hostname) || hostname === '[::1]'));
};
const BaseUrl = v.pipe(v.string(), v.check(isSafe, 'expected https, or http to a loopback address'));

const perRequester = (perSecond: number, burstCount: number) =>
  v.optional(
    v.pipe(
      v.strictObject({
        per_second: v.optional(v.pipe(v.number(), v.minValue(0.001)), perSecond),
        burst_count: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), burstCount),
      }),
      v.transform(({ per_second, burst_count }): Rate => ({ perSecond: per_second, burstCount: burst_count })),
    ),
    {},
  );

const UNITS_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Milliseconds, or a number with a unit. */
const Duration = v.union(
  [
    v.pipe(v.number(), v.integer(), v.minValue(1)),
    v.pipe(
      v.string(),
      v.regex(/^[1-9]\d{0,8}[smhd]$/),
      v.transform((text) => Number(text.slice(0, -1)) * UNITS_MS[text.at(-1) as keyof typeof UNITS_MS]),
    ),
  ],
  'expected a duration such as "5m", or milliseconds',
);

/** Names as in Synapse's homeserver.yaml where it has the key. */
const keys = {
  server_name: v.optional(ServerName, 'localhost'),
  listen: v.optional(v.strictObject({ host: v.optional(v.string(), '127.0.0.1'), port: v.optional(Port, 8008) }), {}),
  /** A folder, or `:memory:`. */
  data: v.optional(v.pipe(v.string(), v.nonEmpty()), './data'),
  /** Instead of the embedded one: a PostgreSQL server's. The environment's DATABASE_URL comes before it. */
  database: v.optional(DatabaseUrl),
  admins: v.optional(v.array(UserId), []),
  enable_registration: v.optional(v.boolean(), true),
  /** In bytes. */
  max_upload_size: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 50 * MEBIBYTE),
  /** URLs of other servers, by their names. */
  federation: v.optional(v.record(ServerName, BaseUrl)),
  public_baseurl: v.optional(v.pipe(v.string(), v.url())),
  refreshable_access_token_lifetime: v.optional(Duration, '5m'),
  /** By address, and by user. */
  rc_login: perRequester(20, 200),
  /** By address. */
  rc_registration: perRequester(20, 200),
  /** By user. */
  rc_message: perRequester(200, 2000),
};

const NOT_OURS = ['bulkhead', 'modules', 'module_defaults'];

/** What the caller of createHomeserver says instead of the file, or against it. */
export interface ConfigOverrides {
  readonly serverName?: string | undefined;
  readonly listen?: Partial<HomeserverConfig['listen']> | undefined;
  readonly dataDir?: string | undefined;
  /** Comes before the environment's DATABASE_URL, which comes before the file. */
  readonly databaseUrl?: string | undefined;
  /** Nothing is kept: for tests, and to try things out. The environment's DATABASE_URL is not looked at. */
  readonly memory?: boolean | undefined;
  readonly admins?: readonly string[] | undefined;
  readonly enableRegistration?: boolean | undefined;
  readonly maxUploadSize?: number | undefined;
  readonly federation?: Readonly<Record<string, string>> | undefined;
  readonly publicBaseUrl?: string | undefined;
  readonly accessTokenLifetimeMs?: number | undefined;
  readonly rateLimits?: Partial<RateLimits> | undefined;
}

/** What the homeserver's own keys say is wrong, or the file cannot be read. The message is for the admin, one line each. */
export class InvalidConfig extends Error {
  override readonly name = 'InvalidConfig';
}

/** @throws InvalidConfig with everything that is wrong */
export async function loadConfig(file: string | undefined, overrides: ConfigOverrides): Promise<HomeserverConfig> {
  const source = file === undefined ? undefined : readYaml(await readText(file), file);
  const environment = environmentFor(overrides);
  const value = { ...(source?.value ?? {}), ...environment, ...overridden(overrides) };
  const own = Object.fromEntries(Object.entries(value).filter(([key]) => !NOT_OURS.includes(key)));
  const result = v.safeParse(v.strictObject(keys), own);
  if (!result.success) {
    const locate = (path: readonly unknown[]) =>
      path[0] === 'database' && environment.database ? 'DATABASE_URL' : (source?.locate(path) ?? 'configuration');
    throw new InvalidConfig(result.issues.map((issue) => `${locate(pathOf(issue))}: ${describe(issue)}`).join('\n'));
  }
  const { server_name, listen, data, database, admins, enable_registration, max_upload_size, ...more } = result.output;
  if (database !== undefined && data === IN_MEMORY) {
    throw new InvalidConfig(
      `data: ${IN_MEMORY} forgets the files that the database on the server still knows; name a folder for them`,
    );
  }
  return {
    serverName: server_name,
    listen,
    dataDir:
      data === IN_MEMORY ? undefined : resolve(file === undefined ? process.cwd() : dirname(resolve(file)), data),
    databaseUrl: database,
    admins: new Set(admins),
    enableRegistration: enable_registration,
    maxUploadSize: max_upload_size,
    federation: more.federation && new Map(Object.entries(more.federation)),
    publicBaseUrl: more.public_baseurl,
    accessTokenLifetimeMs: more.refreshable_access_token_lifetime,
    rateLimits: { login: more.rc_login, registration: more.rc_registration, message: more.rc_message },
  };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new InvalidConfig(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

/** The keys that the environment sets. With `memory`, the file's database is not looked at either. */
function environmentFor({ memory }: ConfigOverrides): { readonly database?: string | undefined } {
  if (memory) return { database: undefined };
  const url = process.env.DATABASE_URL;
  return url ? { database: url } : {};
}

function overridden(overrides: ConfigOverrides): Record<string, unknown> {
  const given = {
    server_name: overrides.serverName,
    listen: overrides.listen,
    data: overrides.memory ? IN_MEMORY : overrides.dataDir && resolve(overrides.dataDir),
    database: overrides.databaseUrl,
    admins: overrides.admins,
    enable_registration: overrides.enableRegistration,
    max_upload_size: overrides.maxUploadSize,
    federation: overrides.federation,
    public_baseurl: overrides.publicBaseUrl,
    refreshable_access_token_lifetime: overrides.accessTokenLifetimeMs,
    rc_login: rateKeys(overrides.rateLimits?.login),
    rc_registration: rateKeys(overrides.rateLimits?.registration),
    rc_message: rateKeys(overrides.rateLimits?.message),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

const rateKeys = (rate: Rate | undefined) => rate && { per_second: rate.perSecond, burst_count: rate.burstCount };

const pathOf = (issue: v.BaseIssue<unknown>): readonly unknown[] => issue.path?.map(({ key }) => key) ?? [];

function describe(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? '';
  if (issue.expected !== 'never') return `${path}: ${issue.message}`;
  const [close] = closeNames(path, Object.keys(keys));
  return `${path}: unknown key${close ? `, did you mean ${close}?` : ''}`;
}

interface Source {
  readonly value: Readonly<Record<string, unknown>>;
  /** `file:line:column` of what a path leads to; of the file where the path is not in it. */
  locate(path: readonly unknown[]): string;
}

/** YAML 1.1 as the module runtime reads it, so that `yes` means the same everywhere in the file. */
function readYaml(text: string, file: string): Source {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    version: '1.1',
    merge: true,
    customTags: (tags) => [...tags, env],
    logLevel: 'error',
    lineCounter,
  });
  const at = (offset: number | undefined): string => {
    if (offset === undefined) return file;
    const { line, col } = lineCounter.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [fault] = document.errors;
  if (fault) throw new InvalidConfig(`${at(fault.pos[0])}: ${fault.message}`);
  const value: unknown = document.toJS() ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidConfig(`${file}: the configuration must be a mapping`);
  }
  return { value: value as Source['value'], locate: (path) => at(offsetOf(document, path)) };
}

/** Where a key or a list's item begins. */
function offsetOf(document: Document.Parsed, path: readonly unknown[]): number | undefined {
  let node: unknown = document.contents;
  let offset: number | undefined;
  for (const key of path) {
    const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
    const begins: unknown = pair ? pair.key : isSeq(node) ? node.items[Number(key)] : undefined;
    offset = (begins as { range?: readonly number[] | null } | undefined)?.range?.[0] ?? offset;
    node = pair ? pair.value : begins;
  }
  return offset;
}

const env: ScalarTag = {
  tag: '!env',
  resolve: (name, onError) => process.env[name] ?? onError(`The environment has no ${name}`),
};
