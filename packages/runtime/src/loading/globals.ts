// A compartment asks a proxy for each global that a script names, which takes a hundred times as long as a local. So a script
// begins by making locals of the language's own.

/** Of the language, on every Node that is supported. Nobody replaces these: what they lead to is frozen. */
const NAMES = `
  Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Date Error Float32Array Float64Array Function Infinity
  Int16Array Int32Array Int8Array Intl JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set
  String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet
  decodeURI decodeURIComponent encodeURI encodeURIComponent isFinite isNaN parseFloat parseInt undefined`;

/** A declaration on one line. With `let`, because a script may assign to a global, if only to what it knows itself. */
export const boundGlobals: string = `let {${NAMES.trim().split(/\s+/).join(',')}}=globalThis;`;
