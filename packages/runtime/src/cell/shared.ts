// Everything of the start realm that a module may come to hold beside the language itself: the classes, what their
// instances lead to, and the classes that have no name (readers, controllers, iterators).

import { web } from './web/index.js';

const { getOwnPropertyDescriptors, getPrototypeOf } = Object;
const { ownKeys } = Reflect;

/** All functions and prototypes reachable from samples; the language's own intrinsics SES looks after. */
export function sharedObjects(): Set<object> {
  const intrinsics = reach(languageRoots(), new Set());
  const found = reach(samples(), intrinsics);
  const prototypes = new Set([...found].map((object) => getPrototypeOf(object) as object | null));
  // The state of the samples stays as it is: their streams still start.
  return new Set([...found].filter((object) => typeof object === 'function' || prototypes.has(object)));
}

function reach(roots: Iterable<unknown>, known: ReadonlySet<object>): Set<object> {
  const found = new Set<object>();
  const visit = (value: unknown): void => {
    if ((typeof value === 'object' && value !== null) || typeof value === 'function') {
      if (!known.has(value)) found.add(value);
    }
  };
  for (const root of roots) visit(root);
  // A set that grows while it is walked visits what was added.
  for (const object of found) {
    visit(getPrototypeOf(object));
    const descriptors = getOwnPropertyDescriptors(object) as Record<PropertyKey, PropertyDescriptor>;
    for (const key of ownKeys(descriptors)) {
      const { value, get, set } = descriptors[key] as PropertyDescriptor;
      visit(value);
      visit(get);
      visit(set);
    }
  }
  return found;
}

function languageRoots(): unknown[] {
  const names = [
    'Object Function Array Number Boolean String Symbol BigInt Date RegExp Promise Proxy Reflect JSON Math Atomics',
    'Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError',
    'ArrayBuffer SharedArrayBuffer DataView Map Set WeakMap WeakSet WeakRef FinalizationRegistry Iterator Temporal',
    'DisposableStack AsyncDisposableStack WebAssembly Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array',
    'Int32Array Uint32Array BigInt64Array BigUint64Array Float16Array Float32Array Float64Array TextEncoder TextDecoder',
  ];
  async function* asyncGenerator() {}
  function* generator() {}
  const nameless = [
    [][Symbol.iterator](),
    new Map().entries(),
    new Set().values(),
    ''[Symbol.iterator](),
    'a'.matchAll(/a/g),
    generator,
    asyncGenerator,
    async () => {},
  ];
  return [...names.flatMap((line) => line.split(' ')).map(globalNamed), ...nameless];
}

function samples(): unknown[] {
  const { ReadableStream, WritableStream, TransformStream } = globalThis;
  const controllers: unknown[] = [];
  const keep = { start: (controller: unknown) => void controllers.push(controller) };
  const bytes = (): ReadableStream => new ReadableStream({ type: 'bytes', ...keep } as { type: 'bytes' });
  return [
    ...Object.values(web),
    Intl,
    new ReadableStream(keep),
    new WritableStream(keep),
    new TransformStream(keep),
    new ReadableStream(keep).getReader(),
    new ReadableStream(keep).values(),
    new WritableStream(keep).getWriter(),
    bytes(),
    bytes().getReader({ mode: 'byob' }),
    controllers,
    new Intl.Segmenter().segment('a'),
    new Intl.Segmenter().segment('a')[Symbol.iterator](),
  ];
}

function globalNamed(name: string): unknown {
  return (globalThis as Record<string, unknown>)[name];
}
