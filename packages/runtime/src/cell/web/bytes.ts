// Bytes as the web's classes take them. Whatever a module passes is asked through its internal slots, never through its
// own properties: an own `byteLength` or `buffer` would otherwise decide what is read.

import { types } from 'node:util';

const { apply } = Reflect;
const typedArrayPrototype = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** The getter of an internal slot, to be applied to genuine objects. */
export const slot = (owner: object, key: PropertyKey): (() => unknown) =>
  Object.getOwnPropertyDescriptor(owner, key)?.get as () => unknown;

export const typedArraySlots = {
  name: slot(typedArrayPrototype, Symbol.toStringTag),
  buffer: slot(typedArrayPrototype, 'buffer'),
  offset: slot(typedArrayPrototype, 'byteOffset'),
  bytes: slot(typedArrayPrototype, 'byteLength'),
  length: slot(typedArrayPrototype, 'length'),
};

export const dataViewSlots = {
  buffer: slot(DataView.prototype, 'buffer'),
  offset: slot(DataView.prototype, 'byteOffset'),
  length: slot(DataView.prototype, 'byteLength'),
};

export const isBufferSource = (value: unknown): boolean => types.isArrayBuffer(value) || types.isArrayBufferView(value);

/**
 * A plain view of the same memory.
 *
 * @throws TypeError when it is no ArrayBuffer and no view of one.
 */
export function bytesOf(source: unknown): Uint8Array<ArrayBuffer> {
  if (types.isArrayBuffer(source)) return new Uint8Array(source);
  if (!types.isArrayBufferView(source)) throw new TypeError('expected an ArrayBuffer or a view of one');
  const isDataView = types.isDataView(source);
  const buffer = apply(isDataView ? dataViewSlots.buffer : typedArraySlots.buffer, source, []);
  const offset = apply(isDataView ? dataViewSlots.offset : typedArraySlots.offset, source, []) as number;
  const length = apply(isDataView ? dataViewSlots.length : typedArraySlots.bytes, source, []) as number;
  if (!types.isArrayBuffer(buffer)) throw new TypeError('shared memory is not accepted');
  return new Uint8Array(buffer, offset, length);
}

/** Not `slice`: it asks its array for a species, and so the module for the result. */
export function copyOf(source: unknown): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytesOf(source));
}

export function concat(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const chunk of chunks) length += chunk.byteLength;
  const all = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    all.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return all;
}
