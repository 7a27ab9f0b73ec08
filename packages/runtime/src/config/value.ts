// A configuration that is already an object. It is copied, and checked to be plain data, because that is all that crosses.

import type { Path } from './entry.js';
import { describe, isMapping } from './expected.js';
import { DEEPEST, type FaultAt, type Source } from './source.js';

export function readValue(value: unknown): Source {
  const faults: FaultAt[] = [];
  const refuse = (path: Path, message: string) =>
    faults.push({ code: 'InvalidValue', message, hint: undefined, path, place: undefined });
  if (!isMapping(value)) refuse([], `expected a mapping with the key "modules", got ${describe(value)}`);
  const root = isMapping(value) ? value : {};

  const copy = (part: unknown, path: Path): unknown => {
    if (path.length > DEEPEST) {
      refuse(path, `nested more than ${DEEPEST} levels deep`);
      return null;
    }
    if (part === undefined || part === null || typeof part === 'string' || typeof part === 'boolean') return part;
    if (typeof part === 'number' && Number.isFinite(part)) return part;
    if (Array.isArray(part)) return part.map((item, index) => copy(item, [...path, index]));
    if (isPlainObject(part)) {
      return fromEntries(Object.entries(part).map(([key, item]) => [key, copy(item, [...path, key])]));
    }
    refuse(path, `expected plain data, got ${nameOf(part)}`);
    return null;
  };

  return {
    bulkhead: copy(root.bulkhead, ['bulkhead']),
    module_defaults: copy(root.module_defaults, ['module_defaults']),
    modules: copy(root.modules, ['modules']),
    faults,
    place: () => undefined,
  };
}

/** Object.fromEntries defines keys rather than setting them, so that "__proto__" is a key like any other. */
const fromEntries = (entries: [string, unknown][]): Record<string, unknown> => Object.fromEntries(entries);

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return describe(value);
  return `an object of class ${value.constructor?.name || '(unnamed)'}`;
}
