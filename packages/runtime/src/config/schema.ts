// The schemas of the keys that are ours. Every message says what was expected and what came.

import { type CallbackName, callbackNames, callbacks, camelCase, snakeCase } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { encodeFault, expected, mapping } from './expected.js';
import { count, duration, flag, oneOf, share, size } from './kinds.js';
import { Granted } from './permissions.js';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** A mapping from callbacks, in snake_case, to what `schemaOf` says for each. */
function perCallback<T>(schemaOf: (name: CallbackName) => v.GenericSchema<unknown, T>) {
  const entries = Object.fromEntries(
    callbackNames.map((name) => [snakeCase(name), v.optional(schemaOf(name))] as const),
  );
  return v.pipe(
    mapping('from callbacks such as check_event_for_spam', entries),
    v.transform(
      (given): Readonly<Partial<Record<CallbackName, T>>> =>
        Object.fromEntries(Object.entries(given).map(([name, value]) => [camelCase(name), value])),
    ),
  );
}

const policy = oneOf('allow', 'reject');

const onFailures = perCallback((name) =>
  callbacks[name].onFailure === 'skip'
    ? v.never(
        encodeFault(`${snakeCase(name)} refuses nobody, so there is no failure policy to choose`, {
          hint: 'remove this key: a module that fails here is left out',
        }),
      )
    : policy,
);

const order = oneOf('parallel', 'sequential');

/** Rows in which each module gets what the one before it returned have one order only. */
const orders = perCallback((name) =>
  callbacks[name].join === 'firstReplacement' || callbacks[name].join === 'waterfall'
    ? v.literal(
        'sequential',
        encodeFault(`${snakeCase(name)} is always sequential: each module gets what the one before it returned`, {
          hint: 'remove this key',
        }),
      )
    : order,
);

const fanOut = v.lazy((value) =>
  typeof value === 'object' && value !== null
    ? orders
    : v.picklist(
        ['parallel', 'sequential'],
        expected('"parallel", "sequential", or a mapping from callbacks to these'),
      ),
);

/** What an entry may say, and what `module_defaults` may say for all. */
const settings = {
  timeout: v.optional(duration),
  timeouts: v.optional(perCallback(() => duration)),
  setup_timeout: v.optional(duration),
  on_failure: v.optional(policy),
  on_failures: v.optional(onFailures),
  required: v.optional(flag),
  mode: v.optional(oneOf('enforce', 'observe')),
  isolation: v.optional(oneOf('compartment', 'thread')),
  hull: v.optional(oneOf('shared', 'own')),
  instances: v.optional(count(64)),
  limits: v.optional(
    mapping('of limits', {
      memory: v.optional(size('64MiB', 8 * MIB, 4 * GIB)),
      result: v.optional(size('128KiB', KIB, MIB)),
      calls_in_flight: v.optional(count(1_000_000)),
      api_calls: v.optional(count(1_000_000)),
      cpu: v.optional(share),
      host_time: v.optional(share),
      storage: v.optional(size('64MiB', 0, 1024 * GIB)),
    }),
  ),
  breaker: v.optional(
    mapping('with failures and window', { failures: v.optional(count(1_000_000)), window: v.optional(duration) }),
  ),
  permissions: v.optional(Granted),
};

export const Settings = mapping('of settings', {
  ...settings,
  integrity: v.optional(
    v.never(encodeFault('integrity pins the script of one module', { hint: 'move it to its entry' })),
  ),
});
export type Settings = v.InferOutput<typeof Settings>;

/** The hash of a script, as a pin and in the lock. */
export const PIN = /^sha256-[A-Za-z0-9+/]{43}=$/;
const pin = '"sha256-" and 44 characters of base64';
const PIN_HINT = '`bulkhead lock` writes the hash of every script into modules.lock';

const specifier = 'a module like "package.Export" or "./file.ts#Export"';

export const Entry = mapping('with the key "module"', {
  module: v.pipe(v.string(expected(specifier)), v.nonEmpty(expected(specifier))),
  id: v.optional(
    v.pipe(
      v.string(expected('an id like "my-module"')),
      v.regex(/^[a-z0-9_-]{1,64}$/, expected('an id of at most 64 small letters, digits, "_" and "-"')),
    ),
  ),
  config: v.optional(v.unknown()),
  integrity: v.optional(v.pipe(v.string(expected(pin, PIN_HINT)), v.regex(PIN, expected(pin, PIN_HINT)))),
  ...settings,
});
export type Entry = v.InferOutput<typeof Entry>;

const folder = 'a folder such as "./module-data"';

export const Bulkhead = mapping('with containment, fan_out, sandbox, spares, storage or restarts_per_minute', {
  containment: v.optional(oneOf('process', 'thread')),
  fan_out: v.optional(fanOut),
  storage: v.optional(v.pipe(v.string(expected(folder)), v.nonEmpty(expected(folder)))),
  restarts_per_minute: v.optional(count(10_000)),
  spares: v.optional(flag),
  sandbox: v.optional(oneOf('auto', 'none', 'required')),
});
export type Bulkhead = v.InferOutput<typeof Bulkhead>;
