// Runs in the compartment. Each attack tries one way to something that a module must not have; it answers what it got
// hold of, or nothing. Every one of them worked, on some version, against Node's own classes.

type Attack = () => unknown;

const symbolsOf = (value: object): symbol[] => {
  const found: symbol[] = [];
  for (let object: object | null = value; object !== null; object = Object.getPrototypeOf(object)) {
    found.push(...Object.getOwnPropertySymbols(object));
  }
  return found;
};

const named = (value: object, description: RegExp): symbol | undefined =>
  symbolsOf(value).find((symbol) => description.test(symbol.description ?? ''));

/** Objects of every class, made anew. */
export function instances(): object[] {
  const controllers: object[] = [];
  const keep = { start: (controller: object) => void controllers.push(controller) };
  const abort = new AbortController();
  abort.signal.addEventListener('abort', () => {});
  const request = new Request('https://example.com/', { method: 'POST', body: 'a', signal: abort.signal });
  const response = new Response(ReadableStream.from([new Uint8Array(1)]));
  const form = new FormData();
  form.append('a', new Blob(['b']));
  const headers = new Headers({ a: 'b' });
  const params = new URLSearchParams('a=b');
  const bytes = () => new ReadableStream({ type: 'bytes', ...keep } as { type: 'bytes' });
  const readable = new ReadableStream(keep);
  const transform = new TransformStream(keep);
  const iterators = [headers, form, params].flatMap((it) => [
    it.entries(),
    it.keys(),
    it.values(),
    it[Symbol.iterator](),
  ]);
  return [
    ...[abort, abort.signal, request, response, form, headers, params, bytes(), readable, transform, ...iterators],
    ...[request.signal, request.body as object, response.body as object, request.clone(), response.clone()],
    ...[
      AbortSignal.any([abort.signal]),
      AbortSignal.abort(),
      AbortSignal.timeout(1),
      new Event('a'),
      new CustomEvent('a'),
    ],
    ...[new EventTarget(), new DOMException('a'), new Blob(['a']), new File(['a'], 'b'), new Blob(['a']).stream()],
    ...[new TextDecoder(), new TextEncoder(), new TextDecoder('shift_jis'), new URL('a:b')],
    ...[
      new TextDecoderStream(),
      new TextEncoderStream(),
      new CompressionStream('gzip'),
      new DecompressionStream('gzip'),
    ],
    ...[
      new WritableStream(keep),
      new WritableStream().getWriter(),
      new ReadableStream(keep).values(),
      new ReadableStream().getReader(),
    ],
    ...[bytes().getReader({ mode: 'byob' }), new CountQueuingStrategy({ highWaterMark: 1 }), ...readable.tee()],
    ...[new ByteLengthQueuingStrategy({ highWaterMark: 1 }), transform.readable, transform.writable, ...controllers],
    ...[new Intl.DateTimeFormat(), new Intl.NumberFormat(), new Intl.Collator(), new Intl.Segmenter().segment('a')],
    ...[new Float32Array(1), new Date(), structuredClone({ a: [new Map()] }), ...errors()],
  ];
}

/** What the classes throw. */
function errors(): object[] {
  const failing: (() => unknown)[] = [
    () => new URL('no'),
    () => atob('*'),
    () => structuredClone(() => {}),
    () => new TextDecoder('no'),
    () => new Request('no'),
    () => new URLSearchParams([[1]] as never),
    () => Reflect.apply(URL.prototype.toString, {}, []),
    () => crypto.getRandomValues(new Float32Array(1) as never),
    () => new DOMException(Symbol() as never),
    () => new Intl.DateTimeFormat('no-locale-at-all'),
    () => setTimeout('code' as never),
    () => null as never as { a: { b: 1 } }['a']['b'],
  ];
  return failing.flatMap((run) => {
    try {
      run();
      return [];
    } catch (error) {
      return [error as object];
    }
  });
}

/** What comes only later. */
export async function laterInstances(): Promise<object[]> {
  const caught = (promise: Promise<unknown>): Promise<object> =>
    promise.then(
      (value) => value as object,
      (error) => error,
    );
  const key = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign']);
  const chunk = await new Blob(['a']).stream().pipeThrough(new CompressionStream('gzip')).getReader().read();
  return [
    ...[key, key.publicKey, key.privateKey, chunk],
    await crypto.subtle.exportKey('jwk', key.publicKey),
    await crypto.subtle.digest('SHA-1', new Uint8Array(1)),
    await new Response('a').arrayBuffer(),
    await new Response(new URLSearchParams('a=b')).formData(),
    await new Response('a').blob(),
    await caught(new Response(ReadableStream.from(['a']) as never).text()),
    await caught(crypto.subtle.digest('MD5', new Uint8Array(1))),
    await caught(crypto.subtle.importKey('raw', new Uint8Array(3), 'AES-GCM', true, ['encrypt'])),
    await caught(new Response(new Blob(['a']).stream().pipeThrough(new DecompressionStream('gzip'))).text()),
  ];
}

const attacks: Record<string, Attack> = {
  'code from the constructor of a function'() {
    for (const make of [
      setTimeout,
      URL,
      atob,
      Response,
      Response.json,
      Intl.DateTimeFormat,
      async () => {},
      function* () {},
    ]) {
      try {
        return (make.constructor as (code: string) => () => unknown)('return process')();
      } catch {
        // Refused, as it should be.
      }
    }
    return undefined;
  },
  'a Node object as `this` of a callback'() {
    return new Promise((resolve) => {
      setTimeout(function (this: unknown) {
        resolve(this);
      }, 0);
    });
  },
  async 'a Node object as `this` of a microtask or a listener'() {
    const seen: unknown[] = [];
    queueMicrotask(function (this: unknown) {
      seen.push(this);
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
    return seen[0];
  },
  'a timer as an object'() {
    const id: unknown = setTimeout(() => {}, 1);
    return typeof id === 'number' ? undefined : id;
  },
  'the printer, through an error message'() {
    let got: unknown;
    const custom = Symbol.for('nodejs.util.inspect.custom');
    const bait = Object.create(null, {
      [custom]: { value: (_: unknown, __: unknown, inspect: unknown) => (got = inspect) },
    });
    const baited: Attack[] = [
      () => AbortSignal.any([bait]),
      () => new EventTarget().addEventListener('a', () => {}, { signal: bait }),
      () => new URLSearchParams(bait),
      () => new URL(bait),
      () => new DOMException('a', bait),
      () => new TextDecoder('utf-8', bait).decode(bait),
      () => new TextEncoder().encodeInto('a', bait),
      () => new Headers([bait]),
      () => crypto.getRandomValues(bait),
      () => structuredClone(bait),
      () => new Blob(bait),
      () => atob(bait),
      () => Reflect.apply(URL.prototype.toString, bait, []),
      () => Reflect.apply(URLSearchParams.prototype.append, bait, ['a', 'b']),
      () => Reflect.apply(URLSearchParams.prototype.entries().next, bait, []),
      () => new URLSearchParams().forEach(bait),
      () => new ReadableStream(bait),
    ];
    for (const attempt of baited) {
      try {
        attempt();
      } catch {
        // The message was made; that was the point.
      }
    }
    return got;
  },
  "a method of Node's under a symbol"() {
    const foreign = instances().flatMap((object) => symbolsOf(object).map((symbol) => symbol.description ?? ''));
    const nodes = foreign.filter((name) => /^(nodejs|messaging_|k[A-Z])|inspect|handle|transfer/i.test(name));
    return nodes[0];
  },
  'a message port, by transferring a stream'() {
    const stream = new ReadableStream();
    const list = named(stream, /transfer_list/);
    return list && (stream as unknown as Record<symbol, () => unknown>)[list]?.();
  },
  'a file handle, by telling structuredClone what to revive'() {
    const revive = { data: { handle: { fd: 1 } }, deserializeInfo: 'internal/fs/promises:FileHandle' };
    for (const target of [new Blob([]), new AbortController().signal, new ReadableStream(), new DOMException('a')]) {
      // Whatever key the clone asks for gets the same answer.
      const bait = new Proxy(Object.getPrototypeOf(target), {
        get: (_, key) => (typeof key === 'symbol' ? () => revive : undefined),
      });
      try {
        Object.setPrototypeOf(target, bait);
        const clone = structuredClone({ target }).target as { fd?: unknown };
        if (clone.fd !== undefined) return clone;
      } catch {
        // Refused.
      }
    }
    return undefined;
  },
  'memory beyond a buffer, by the state of a byte stream'() {
    const controllers: object[] = [];
    const stream = new ReadableStream({ type: 'bytes', start: (c) => void controllers.push(c) });
    const state = named(controllers[0] as object, /kState/);
    return state && stream;
  },
  'native code given a forged decoder'() {
    const decoder = new TextDecoder('shift_jis');
    const handle = named(decoder, /handle/i);
    return handle && (decoder as unknown as Record<symbol, unknown>)[handle];
  },
  'the decoder that SES gives to a compartment of our own'() {
    // biome-ignore lint/suspicious/noExplicitAny: the compartment's type is not known inside
    const decoder = new (globalThis as any).Compartment().evaluate('new TextDecoder("shift_jis")');
    return named(decoder, /handle/i);
  },
  'a key in its native form'() {
    return crypto.subtle
      .generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign'])
      .then((key) => named(key, /key|handle/i) ?? Reflect.ownKeys(key)[0]);
  },
  async "bytes in a buffer that is also somebody else's"() {
    const results: [string, Uint8Array][] = [
      ['TextEncoder', new TextEncoder().encode('a')],
      ['Response.bytes', await bytesOf(new Response('a'))],
      ['Response.arrayBuffer', new Uint8Array(await new Response('a').arrayBuffer())],
      ['Response.body', (await (new Response('a').body as ReadableStream).getReader().read()).value],
      ['Blob.stream', (await new Blob(['a']).stream().getReader().read()).value as Uint8Array],
      ['Blob.arrayBuffer', new Uint8Array(await new Blob(['a']).arrayBuffer())],
      ['digest', new Uint8Array(await crypto.subtle.digest('SHA-1', new Uint8Array(1)))],
      [
        'gzip',
        (await new Blob(['a']).stream().pipeThrough(new CompressionStream('gzip')).getReader().read())
          .value as Uint8Array,
      ],
      [
        'text stream',
        (await ReadableStream.from(['a']).pipeThrough(new TextEncoderStream()).getReader().read()).value as Uint8Array,
      ],
      ['form', await bytesOf(new Response(new URLSearchParams('a=b')))],
      ['file of a form', new Uint8Array(await fileOfForm())],
      ['clone', structuredClone(new Uint8Array(1))],
    ];
    return results.find(([, { buffer, byteLength }]) => buffer.byteLength !== byteLength)?.[0];
  },
  'the class Buffer, by an instance'() {
    return [new TextEncoder().encode('a')].find((bytes) => Object.getPrototypeOf(bytes) !== Uint8Array.prototype);
  },
  'a stack with call sites'() {
    const ErrorHere = Error as ErrorConstructor & { prepareStackTrace?: unknown };
    let got: unknown;
    try {
      ErrorHere.prepareStackTrace = (_: unknown, sites: unknown[]) => (got = sites);
    } catch {
      // Not writable.
    }
    const error = new Error('a');
    void error.stack;
    return got ?? (error.stack === '' ? undefined : error.stack);
  },
  'a stack from an error of Node or of V8'() {
    const leaking = errors().find((error) => /node:|bootstrap|worker/.test(String((error as Error).stack)));
    return leaking && (leaking as Error).stack;
  },
  'a change of what others see'() {
    for (const object of [...instances(), Intl.DateTimeFormat, URL, crypto, crypto.subtle, performance]) {
      for (let shared = Object.getPrototypeOf(object); shared !== null; shared = Object.getPrototypeOf(shared)) {
        try {
          Object.defineProperty(shared, 'poison', { value: 1, configurable: true });
          return shared;
        } catch {
          // Frozen.
        }
      }
    }
    return undefined;
  },
  'a real import'() {
    // In pieces: SES refuses a source with the word in it.
    try {
      return Function(`return im${'port'}('node:fs')`)();
    } catch {
      return undefined;
    }
  },
  'a read of a module by a hostile receiver'() {
    const keys: PropertyKey[] = [];
    const spy = new Proxy({}, { get: (_, key) => void keys.push(key), has: (_, key) => keys.push(key) > 0 });
    for (const object of instances()) {
      for (
        let prototype = Object.getPrototypeOf(object);
        prototype !== null;
        prototype = Object.getPrototypeOf(prototype)
      ) {
        for (const descriptor of Object.values(Object.getOwnPropertyDescriptors(prototype)) as PropertyDescriptor[]) {
          for (const method of [descriptor.get, descriptor.value]) {
            if (typeof method !== 'function' || method === object.constructor) continue;
            try {
              const answer = Reflect.apply(method, spy, []);
              if (answer instanceof Promise) answer.catch(() => {});
            } catch {
              // What matters is what it asked for on the way.
            }
          }
        }
      }
    }
    return keys.find(
      (key) => typeof key === 'symbol' && /^(nodejs|messaging|k[A-Z])|handle/.test(key.description ?? ''),
    );
  },
};

async function fileOfForm(): Promise<ArrayBuffer> {
  const form = new FormData();
  form.append('a', new Blob(['b']));
  return ((await new Response(form).formData()).get('a') as File).arrayBuffer();
}

export async function runAttacks(): Promise<Record<string, string>> {
  const results: Record<string, string> = {};
  for (const [name, attack] of Object.entries(attacks)) {
    try {
      const got = await attack();
      results[name] = got === undefined ? 'nothing' : `got ${typeof got} ${String(got)}`;
    } catch (error) {
      results[name] = `failed: ${error}`;
    }
  }
  return results;
}

/** Node 20's types do not know it yet. */
const bytesOf = (response: Response): Promise<Uint8Array> =>
  (response as Response & { bytes(): Promise<Uint8Array> }).bytes();
