// What the admin granted, held against what a module needs; and the lines of YAML that would grant what is missing.

import { ApiError, type GrantGroup, type PermissionGroup, permissionGroups, type Scope } from '@bulkhead/sdk/contract';
import type { Grants, ModuleEntry, Permissions } from '../config/entry.js';
import { says } from '../config/problem.js';
import { formatSize, parseSize } from '../config/units.js';
import { coversHost } from './hosts.js';
import { coversPath, isUsual } from './paths.js';

/** Whether the grants cover a scope. Writing does not include reading, as the admin wrote one and not the other. */
export function permits(grants: Grants, scope: Scope): boolean {
  if (scope === 'none') return true;
  const [group, access] = parts(scope);
  return grants[group].includes(access);
}

/** @throws ApiError `PermissionDenied`, with the line that would grant it */
export function requirePermission(grants: Grants, scope: Scope, method: string): void {
  if (scope === 'none' || permits(grants, scope)) return;
  const [group, access] = parts(scope);
  throw permissionDenied(`${method} needs the permission ${scope}`, grantLine({ [group]: [access] }));
}

/** What a module gets, and an admin reads in the log, when something was not granted. */
export function permissionDenied(what: string, line: string): ApiError {
  return new ApiError('PermissionDenied', `${what}; to grant it, the module's entry says ${line}`);
}

/** The line that grants it: `permissions: { network: [api.example.com], users: [read] }`. */
export function grantLine(granted: Permissions): string {
  const groups = groupsOf(granted).map(([group, values]) => `${group}: [${values.map(inYaml).join(', ')}]`);
  return `permissions: { ${groups.join(', ')} }`;
}

/** What an entry gives to its module. */
export type Given = Pick<ModuleEntry, 'permissions' | 'limits'>;

/** All of it, the storage included. */
export const grantedBy = ({ permissions, limits }: Given): Permissions => ({
  ...permissions,
  storage: [formatSize(limits.storage)],
});

/** What of the needs is not granted; empty when all is. */
export function missingOf(needs: Permissions, given: Given): Permissions {
  const granted = grantedBy(given);
  return select(needs, (group, need) => !covers(group, granted[group] ?? [], need));
}

/** What was granted although no need asks for it; what every module is given is left out. */
export function unaskedOf(needs: Permissions, granted: Permissions): Permissions {
  return select(withoutUsual(granted), (group, grant) => {
    const asked = needs[group] ?? [];
    return !covers(group, asked, grant) && !asked.some((need) => covers(group, [grant], need));
  });
}

/** Without what every module is given. */
export function withoutUsual({ storage: _, web_paths = [], ...others }: Permissions): Permissions {
  return select(isUsual(web_paths) ? others : { ...others, web_paths }, () => true);
}

/** What the entry has to say so that nothing is missing any more. */
export function hintToGrant(missing: Permissions, entry: Given & Pick<ModuleEntry, 'locate'>): string {
  const { permissions } = entry;
  const { storage, ...asked } = missing;
  const lines: string[] = [];
  if (groupsOf(asked).length > 0) {
    // A group that the entry names replaces what is usual, so that has to be said as well.
    const added = groupsOf(asked).map(([group, values]) => [
      group,
      [...(permissions[group as GrantGroup] ?? []), ...values],
    ]);
    const line = grantLine({ ...withoutUsual(permissions), ...Object.fromEntries(added) });
    lines.push(
      `${says(entry, 'permissions') ? 'to grant it, the entry has to say' : 'to grant it, add this line'}: ${line}`,
    );
  }
  if (storage !== undefined) {
    lines.push(
      says(entry, 'limits')
        ? `to grant the storage, its limits have to say: storage: ${storage[0]}`
        : `to grant the storage, add this line: limits: { storage: ${storage[0]} }`,
    );
  }
  return lines.join('\n');
}

/** The groups that have something, in the order of the table. */
export function groupsOf(all: Permissions): readonly (readonly [PermissionGroup, readonly string[]])[] {
  return (Object.keys(permissionGroups) as PermissionGroup[]).flatMap((group) => {
    const values = all[group] ?? [];
    return values.length === 0 ? [] : [[group, values] as const];
  });
}

/** In a few words: `network: api.example.com; users: read`. */
export const inWords = (all: Permissions): string =>
  groupsOf(all)
    .map(([group, values]) => `${group}: ${values.join(', ')}`)
    .join('; ');

function covers(group: PermissionGroup, granted: readonly string[], need: string): boolean {
  switch (permissionGroups[group].kind) {
    case 'access':
      return granted.includes(need);
    case 'hosts':
      return coversHost(granted, need);
    case 'paths':
      return coversPath(granted, need);
    case 'size':
      return (parseSize(granted[0]) ?? 0) >= (parseSize(need) ?? 0);
  }
}

function select(all: Permissions, matches: (group: PermissionGroup, value: string) => boolean): Permissions {
  return Object.fromEntries(
    groupsOf(all).flatMap(([group, values]) => {
      const selected = values.filter((value) => matches(group, value));
      return selected.length === 0 ? [] : [[group, selected]];
    }),
  );
}

/** Unquoted, `*.example.com` would be an alias, `[::1]` a list and a host called `no` a boolean. */
function inYaml(value: string): string {
  const isPlain =
    /^(read|write|credentials|cookies|service_worker)$/.test(value) ||
    /^(localhost|[a-z][\w-]*(\.[\w-]+)+|\d+(\.\d+){3})(:\d+)?$/i.test(value) ||
    /^(\/[\w.-]+)+(\/\*)?$/.test(value);
  return isPlain ? value : JSON.stringify(value);
}

function parts(scope: Exclude<Scope, 'none'>): ['users' | 'rooms' | 'web', string] {
  const [group, access] = scope.split(':') as ['users' | 'rooms' | 'web', string];
  return [group, access];
}
