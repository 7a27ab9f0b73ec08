// structuredClone for modules, over plain data alone.
//
// Node's own asks any platform object (a Blob, a signal, a stream) how to clone itself, through a method under a symbol
// that a module can find and override. The answer names a Node-internal class to revive: seen on Node 20 to 26, that was
// a FileHandle over a descriptor number of the module's choice, a neighbour's socket. So no value of a module reaches it.

import { types } from 'node:util';
import { type Blob, blobBytes, blobFrom, File, isBlob } from './blob.js';
import { copyOf, dataViewSlots, slot, typedArraySlots } from './bytes.js';
import { DOMException, isDOMException } from './dom-exception.js';

/** @throws a DataCloneError for what cannot be cloned: functions, symbols, proxies, platform objects, shared memory. */
export function structuredClone(...args: [value?: unknown, options?: { transfer?: Iterable<unknown> }]): unknown {
  if (args.length === 0) throw new TypeError("1 argument required, 'value'");
  const [value, options] = args;
  const transfer = readTransfer(options?.transfer);
  const copy = clone(value, new Map());
  // The copy is made before the detaching, so a value that cannot be cloned leaves the buffers as they were.
  for (const buffer of transfer) detach(buffer);
  return copy;
}

/** What is already copied, by its original: keeps cycles and shared references. */
type Memory = Map<object, unknown>;

const { apply, construct, ownKeys } = Reflect;
const { create, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Object;
const nativeClone = globalThis.structuredClone;

const regExpSlots = { source: slot(RegExp.prototype, 'source'), flags: slot(RegExp.prototype, 'flags') };
const methods = {
  time: Date.prototype.getTime,
  eachOfMap: Map.prototype.forEach,
  eachOfSet: Set.prototype.forEach,
};
const unbox = [
  [types.isNumberObject, Number.prototype.valueOf],
  [types.isStringObject, String.prototype.valueOf],
  [types.isBooleanObject, Boolean.prototype.valueOf],
  [types.isBigIntObject, BigInt.prototype.valueOf],
] as const;
const views: Record<string, new (...args: never[]) => unknown> = Object.assign(create(null), {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
});
const errorPrototypes: Record<string, object> = Object.assign(create(null), {
  EvalError: EvalError.prototype,
  RangeError: RangeError.prototype,
  ReferenceError: ReferenceError.prototype,
  SyntaxError: SyntaxError.prototype,
  TypeError: TypeError.prototype,
  URIError: URIError.prototype,
});
const uncloneable = [
  types.isProxy,
  types.isSharedArrayBuffer,
  types.isPromise,
  types.isWeakMap,
  types.isWeakSet,
  types.isGeneratorObject,
  types.isMapIterator,
  types.isSetIterator,
  types.isModuleNamespaceObject,
  types.isExternal,
] as const;

function clone(value: unknown, memory: Memory): unknown {
  if (typeof value === 'symbol' || typeof value === 'function') throw refuse(value);
  if (typeof value !== 'object' || value === null) return value;
  const known = memory.get(value);
  if (known !== undefined) return known;
  for (const is of uncloneable) if (is(value)) throw refuse(value);

  // Every test below looks at internal slots, never at what the object says of itself.
  for (const [is, primitive] of unbox) {
    if (is(value)) return remember(memory, value, Object(apply(primitive as () => unknown, value, [])));
  }
  if (types.isDate(value)) return remember(memory, value, new Date(apply(methods.time, value, [])));
  if (types.isRegExp(value)) {
    return remember(
      memory,
      value,
      new RegExp(`${apply(regExpSlots.source, value, [])}`, `${apply(regExpSlots.flags, value, [])}`),
    );
  }
  if (types.isArrayBuffer(value)) return remember(memory, value, copyOf(value).buffer);
  if (types.isArrayBufferView(value)) return cloneView(value, memory);
  if (types.isMap(value)) return cloneMap(value, memory);
  if (types.isSet(value)) return cloneSet(value, memory);
  if (types.isNativeError(value)) return cloneError(value, memory);
  if (isBlob(value)) return remember(memory, value, cloneBlob(value));
  return cloneRecord(value, memory);
}

function remember<T>(memory: Memory, original: object, copy: T): T {
  memory.set(original, copy);
  return copy;
}

function cloneView(view: ArrayBufferView, memory: Memory): unknown {
  const name = apply(typedArraySlots.name, view, []) as string | undefined;
  const { buffer, offset, length } = name === undefined ? dataViewSlots : typedArraySlots;
  const View = name === undefined ? DataView : views[name];
  if (View === undefined) throw refuse(view);
  const memoryCopy = clone(apply(buffer, view, []), memory);
  return remember(memory, view, construct(View, [memoryCopy, apply(offset, view, []), apply(length, view, [])]));
}

function cloneMap(map: Map<unknown, unknown>, memory: Memory): Map<unknown, unknown> {
  const copy = remember(memory, map, new Map());
  // Gathered first: a getter of an entry may change the map that is being read.
  const entries: [unknown, unknown][] = [];
  apply(methods.eachOfMap, map, [(value: unknown, key: unknown) => entries.push([key, value])]);
  for (const [key, value] of entries) copy.set(clone(key, memory), clone(value, memory));
  return copy;
}

function cloneSet(set: Set<unknown>, memory: Memory): Set<unknown> {
  const copy = remember(memory, set, new Set());
  const values: unknown[] = [];
  apply(methods.eachOfSet, set, [(value: unknown) => values.push(value)]);
  for (const value of values) copy.add(clone(value, memory));
  return copy;
}

function cloneError(error: Error, memory: Memory): Error {
  if (isDOMException(error)) return remember(memory, error, new DOMException(error.message, error.name)) as never;
  const prototype = errorPrototypes[`${error.name}`] ?? Error.prototype;
  const copy = remember(memory, error, construct(Error, []) as Error);
  setPrototypeOf(copy, prototype);
  for (const key of ['message', 'cause']) {
    const descriptor = getOwnPropertyDescriptor(error, key);
    if (descriptor === undefined || !('value' in descriptor)) continue;
    const value = key === 'message' ? `${descriptor.value}` : clone(descriptor.value, memory);
    defineProperty(copy, key, { value, writable: true, enumerable: false, configurable: true });
  }
  return copy;
}

function cloneRecord(record: object, memory: Memory): object {
  if (isPlatformObject(record)) throw refuse(record);
  const copy: object = remember(memory, record, Array.isArray(record) ? new Array(record.length) : {});
  for (const key of ownKeys(record)) {
    if (typeof key === 'symbol' || !getOwnPropertyDescriptor(record, key)?.enumerable) continue;
    const value = clone((record as Record<string, unknown>)[key], memory);
    // Defined, not assigned: `__proto__` is a key like any other here.
    defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true });
  }
  return copy;
}

function cloneBlob(blob: Blob): Blob {
  const copy = blobFrom(blobBytes(blob), blob.type);
  if (!(blob instanceof File)) return copy;
  return new File([copy], blob.name, { type: blob.type, lastModified: blob.lastModified });
}

/** The web's other classes keep their state where a copy of the properties would lose it. */
function isPlatformObject(value: object): boolean {
  for (let prototype = getPrototypeOf(value) as object | null; prototype !== null; ) {
    if (platformPrototypes.has(prototype)) return true;
    prototype = getPrototypeOf(prototype) as object | null;
  }
  return false;
}

const platformPrototypes = new WeakSet<object>();

/** Instances of this class and of its subclasses cannot be cloned. */
export function refuseToClone(value: unknown): void {
  if (typeof value === 'function' && typeof value.prototype === 'object') platformPrototypes.add(value.prototype);
}

function readTransfer(list: Iterable<unknown> | undefined): Set<ArrayBuffer> {
  const buffers = new Set<ArrayBuffer>();
  if (list === undefined) return buffers;
  for (const item of list) {
    if (!types.isArrayBuffer(item) || buffers.has(item)) throw refuse(item);
    buffers.add(item);
  }
  return buffers;
}

/** Only a genuine ArrayBuffer gets here, and that asks nobody how to transfer it. */
const detach = (buffer: ArrayBuffer): unknown => nativeClone(buffer, { transfer: [buffer] });

function refuse(value: unknown): DOMException {
  const what = typeof value === 'object' ? 'This object' : `A ${typeof value}`;
  return new DOMException(`${what} could not be cloned`, 'DataCloneError');
}
