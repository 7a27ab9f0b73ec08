// Everything of the start realm that a module may come to hold beside the language itself: the classes, what their
// instances lead to, and the classes that have no name (readers, controllers, iterators).

const { getOwnPropertyDescriptors, getPrototypeOf } = Object;
const { ownKeys } = Reflect;

/** All objects that can be reached from the samples, without the language's own intrinsics, which SES looks after. */
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
  const named = names.join(' ').split(' ');
  async function* asyncGenerator() {}
  function* generator() {}
  return [
    ...named.map((name) => (globalThis as Record<string, unknown>)[name]),
    [][Symbol.iterator](),
    new Map().entries(),
    new Set().values(),
    ''[Symbol.iterator](),
    'a'.matchAll(/a/g),
    generator,
    asyncGenerator,
    async () => {},
  ];
}

function samples(): unknown[] {
  const controllers: unknown[] = [];
  const keep = { start: (controller: unknown) => void controllers.push(controller) };
  const readable = new ReadableStream(keep);
  const bytes = new ReadableStream({ type: 'bytes', ...keep } as { type: 'bytes' });
  const writable = new WritableStream(keep);
  const transform = new TransformStream(keep);
  const signals = new AbortController();
  signals.signal.addEventListener('abort', () => {});
  const form = new FormData();
  const url = new URL('https://example.com/?a=b');
  const blob = new Blob(['sample']);
  const headers = new Headers({ a: 'b' });
  const request = new Request('https://example.com/', { method: 'POST', body: 'a', signal: signals.signal });
  const response = new Response('a');
  const textEncoderStream = new TextEncoderStream();
  const textDecoderStream = new TextDecoderStream();
  const results = [
    AbortSignal.any([signals.signal]),
    new ReadableStream(keep).getReader(),
    new ReadableStream({ type: 'bytes', ...keep } as { type: 'bytes' }).getReader({ mode: 'byob' }),
    new WritableStream(keep).getWriter(),
    new ReadableStream().values(),
    blob.stream(),
    request.signal,
    request.body,
    response.body,
  ];
  const iterators = [headers, form, url.searchParams].flatMap((it) => [it.entries(), it.keys(), it.values()]);
  const instances = [readable, bytes, writable, transform, signals, form, url, blob, new File([], 'a'), headers];
  const streams = [textEncoderStream, textDecoderStream, request, response];
  const others = [new Event('a'), new EventTarget(), new DOMException('a')];
  return [...instances, ...streams, ...others, ...controllers, ...results, ...iterators, ...classes(), Intl];
}

function classes(): unknown[] {
  const names = [
    'URL URLSearchParams Headers Request Response FormData Blob File AbortController AbortSignal',
    'Event EventTarget DOMException ReadableStream WritableStream TransformStream',
    'ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamDefaultController ReadableByteStreamController',
    'ReadableStreamBYOBRequest WritableStreamDefaultWriter WritableStreamDefaultController',
    'TransformStreamDefaultController ByteLengthQueuingStrategy CountQueuingStrategy TextEncoderStream TextDecoderStream',
    'atob btoa',
  ];
  return names
    .join(' ')
    .split(' ')
    .map((name) => (globalThis as Record<string, unknown>)[name]);
}
