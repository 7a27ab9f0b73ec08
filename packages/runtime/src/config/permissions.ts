// Permissions as admins grant them and as modules declare them: two readings of one table.

import { type PermissionRow, permissionGroups } from '@bulkhead/sdk/contract';
import * as v from 'valibot';
import { parseHostGrant } from '../api/hosts.js';
import { isGrantablePath } from '../api/paths.js';
import type { Grants, Permissions } from './entry.js';
import { decodeFault, encodeFault, expected, isMapping, mapping } from './expected.js';
import { listOf, oneOf, size } from './kinds.js';
import { pathText } from './problem.js';
import { formatSize } from './units.js';

const TIB = 2 ** 40;
/** What a module may declare in one group, and how many groups. */
const MOST_NEEDS = 100;
const LONGEST_GROUP = 100;
const MOST_FAULTS = 10;

const host = v.pipe(
  v.string(expected('a host like "api.example.com"')),
  v.toLowerCase(),
  v.check(
    (text) => text.length <= 300 && parseHostGrant(text) !== undefined,
    expected(
      'a host like "api.example.com", "*.example.com" or "127.0.0.1:9000"',
      'a host alone, without scheme or path',
    ),
  ),
);

const path = v.pipe(
  v.string(expected('a path like "/my-module"')),
  v.check(
    isGrantablePath,
    expected(
      'a path like "/my-module" or "/my-module/*"',
      "a path alone; /_matrix, /.well-known/matrix and /_synapse/admin are the homeserver's",
    ),
  ),
);

const storage = size('10MiB', 0, TIB);

/** The schema of a group's values. */
function valuesOf(row: PermissionRow): v.GenericSchema<unknown, unknown> {
  switch (row.kind) {
    case 'access':
      return listOf('permissions', oneOf(...Object.keys(row.values)));
    case 'hosts':
      return listOf('hosts', host);
    case 'paths':
      return listOf('paths', path);
    case 'size':
      return storage;
  }
}

const optionalGroups = (schemaOf: (row: PermissionRow) => v.GenericSchema<unknown, unknown>) =>
  Object.fromEntries(Object.entries(permissionGroups).map(([group, row]) => [group, v.optional(schemaOf(row))]));

const FROM_GROUPS = 'from groups to what is granted, such as "users: [read]"';

/** What an entry says under `permissions`. */
export const Granted = mapping(
  FROM_GROUPS,
  optionalGroups((row) =>
    row.kind === 'size'
      ? v.never(encodeFault('storage is a limit', { hint: 'say it in the entry: limits: { storage: 10MiB }' }))
      : valuesOf(row),
  ),
) as unknown as v.GenericSchema<unknown, Partial<Grants>>; // valibot's types do not see through the loop over the table

const Needs = mapping(
  'from groups to what is needed, such as { users: ["read"] }',
  optionalGroups((row) =>
    row.kind === 'size'
      ? v.pipe(
          storage,
          v.transform((bytes) => [formatSize(bytes)]),
        )
      : v.pipe(
          valuesOf(row) as v.GenericSchema<unknown, readonly string[]>,
          v.transform((values) => [...new Set(values)]),
        ),
  ),
) as unknown as v.GenericSchema<unknown, Permissions>;

export type ReadNeeds = { readonly needs: Permissions } | { readonly faults: readonly string[] };

/** What a module says that it needs, which may be anything. */
export function readNeeds(declared: unknown): ReadNeeds {
  // A cell may answer a megabyte, and of each wrong value of it an issue would be made.
  if (isTooMuch(declared)) return { faults: [`permissions: expected at most ${MOST_NEEDS} values in a group`] };
  const result = v.safeParse(Needs, declared);
  if (result.success) return { needs: result.output };
  const faults = result.issues.slice(0, MOST_FAULTS).map((issue) => {
    const { message, hint } = decodeFault(issue.message);
    const keys = (issue.path ?? []).map(({ key }) => key as string | number);
    return `permissions${pathText(keys, '.')}: ${message}${hint === undefined ? '' : ` (${hint})`}`;
  });
  return { faults };
}

function isTooMuch(declared: unknown): boolean {
  if (!isMapping(declared)) return false;
  const groups = Object.entries(declared);
  return (
    groups.length > MOST_NEEDS ||
    groups.some(
      ([group, values]) => group.length > LONGEST_GROUP || (Array.isArray(values) && values.length > MOST_NEEDS),
    )
  );
}
