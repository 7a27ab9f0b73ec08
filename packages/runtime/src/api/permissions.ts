// What the admin granted, held against what a method needs; and the line of YAML that would grant what is missing.

import { ApiError, type Scope } from '@bulkhead/sdk/contract';
import type { Grants } from '../config/entry.js';

/** Whether the grants cover a scope. Writing does not include reading, as the admin wrote one and not the other. */
export function permits(grants: Grants, scope: Scope): boolean {
  if (scope === 'none') return true;
  const [group, access] = parts(scope);
  return grants[group].includes(access);
}

/** @throws ApiError `NotPermitted`, with the line that would grant it */
export function requirePermission(grants: Grants, scope: Scope, method: string): void {
  if (scope === 'none' || permits(grants, scope)) return;
  throw notPermitted(`${method} needs the permission ${scope}`, grantLine(...parts(scope)));
}

/** The line that grants one thing: `permissions: { users: [read] }`. */
export function grantLine(group: keyof Grants, value: string): string {
  // Unquoted, `*.example.com` would be an alias, `[::1]` a list and a host called `no` a boolean.
  const plain = group !== 'network' || /^(localhost|[a-z][\w-]*(\.[\w-]+)+|\d+(\.\d+){3})(:\d+)?$/i.test(value);
  return `permissions: { ${group}: [${plain ? value : JSON.stringify(value)}] }`;
}

/** What a module gets, and an admin reads in the log, when something was not granted. */
export function notPermitted(what: string, line: string): ApiError {
  return new ApiError('NotPermitted', `${what}; to grant it, the module's entry says ${line}`);
}

function parts(scope: Exclude<Scope, 'none'>): ['users' | 'rooms', string] {
  const [group, access] = scope.split(':') as ['users' | 'rooms', string];
  return [group, access];
}
