// A configuration that is already an object. It is copied, and checked to be plain data, because that is all that crosses.

import type { Path } from './entry.js';
import { describe, isMapping } from './expected.js';
import { DEEPEST, type FaultAt, type Source } from './source.js';

/** What a YAML parser made of aliases are shared objects: few to hold, more to copy than memory takes. */
const MOST_REPEATED = 10_000;

export function readValue(value: unknown): Source {
  const faults: FaultAt[] = [];
  const refuse = (path: Path, message: string): null => {
    faults.push({ code: 'InvalidValue', message, hint: undefined, path, place: undefined });
    return null;
  };
  if (!isMapping(value)) refuse([], `expected a mapping with the key "modules", got ${describe(value)}`);
  const root = isMapping(value) ? value : {};

  /** The objects being copied, to see one that stands inside itself, and all those copied, to see what repeats. */
  const open = new Set<unknown>();
  const copied = new Set<unknown>();
  let repeated = 0;

  const copyObject = (part: object, path: Path): unknown => {
    if (open.has(part)) return refuse(path, 'stands inside itself');
    if (copied.has(part) && ++repeated > MOST_REPEATED) {
      return repeated === MOST_REPEATED + 1
        ? refuse(path, `more than ${MOST_REPEATED} values are there repeatedly`)
        : null;
    }
    copied.add(part);
    open.add(part);
    try {
      if (Array.isArray(part)) return part.map((item, index) => copy(item, [...path, index]));
      if (isPlainObject(part)) {
        // Defines keys rather than setting them, so that "__proto__" is a key like any other.
        return Object.fromEntries(Object.entries(part).map(([key, item]) => [key, copy(item, [...path, key])]));
      }
      return refuse(path, `expected plain data, got ${nameOf(part)}`);
    } finally {
      open.delete(part);
    }
  };

  const copy = (part: unknown, path: Path): unknown => {
    if (path.length > DEEPEST) return refuse(path, `nested more than ${DEEPEST} levels deep`);
    if (typeof part === 'object' && part !== null) return copyObject(part, path);
    if (part === undefined || part === null || typeof part === 'string' || typeof part === 'boolean') return part;
    if (typeof part === 'number' && Number.isFinite(part)) return part;
    return refuse(path, `expected plain data, got ${describe(part)}`);
  };

  return {
    bulkhead: copy(root.bulkhead, ['bulkhead']),
    module_defaults: copy(root.module_defaults, ['module_defaults']),
    modules: copy(root.modules, ['modules']),
    faults,
    place: () => undefined,
  };
}

function isPlainObject(value: object): value is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

const nameOf = (value: object): string => `an object of class ${value.constructor?.name || '(unnamed)'}`;
