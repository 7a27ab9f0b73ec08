import { deepEqual, equal, ok } from './assert.js';

export const language = {
  'Date and Math are whole'() {
    const start = Date.now();
    ok(start > 1e12 && new Date().getFullYear() > 2000);
    const random = Math.random();
    ok(random >= 0 && random < 1);
  },
  'Intl: dates, numbers, plurals, segments'() {
    const date = new Date(Date.UTC(2024, 1, 29, 13, 5));
    const format = new Intl.DateTimeFormat('de', { dateStyle: 'long', timeZone: 'UTC' });
    equal(format.format(date), '29. Februar 2024');
    equal(new Intl.NumberFormat('de', { style: 'currency', currency: 'EUR' }).format(1234.5), '1.234,50\u00a0€');
    equal(new Intl.PluralRules('en', { type: 'ordinal' }).select(2), 'two');
    equal([...new Intl.Segmenter('en', { granularity: 'word' }).segment('a b')].length, 3);
    equal(new Intl.ListFormat('en').format(['a', 'b']), 'a and b');
  },
  'toLocaleString and localeCompare'() {
    equal((1234.5).toLocaleString('de'), '1.234,5');
    equal(new Date(0).toLocaleDateString('en-GB', { timeZone: 'UTC' }), '01/01/1970');
    ok('ä'.localeCompare('z', 'de') < 0 && 'ä'.localeCompare('z', 'sv') > 0);
  },
  'typed arrays of all kinds'() {
    equal(new Float64Array([0.5])[0], 0.5);
    equal(new Float32Array([0.5])[0], 0.5);
    equal(new BigInt64Array([5n])[0], 5n);
  },
  'overriding by assignment: instances'() {
    const response = new Response('a') as unknown as Record<string, unknown>;
    response.text = () => 'mine';
    equal((response.text as () => string)(), 'mine');
    const stream = new ReadableStream() as unknown as Record<string, unknown>;
    stream.cancel = 1;
    equal(stream.cancel, 1);
    const error = new Error('a');
    error.name = 'Mine';
    error.message = 'b';
    equal(String(error), 'Mine: b');
    const plain: Record<string, unknown> = {};
    plain.toString = () => 'mine';
    equal(`${plain}`, 'mine');
  },
  'overriding by assignment: prototypes of old style'() {
    function Bus(this: object) {}
    Bus.prototype = Object.create(EventTarget.prototype);
    Bus.prototype.constructor = Bus;
    Bus.prototype.dispatchEvent = () => 'mine';
    equal(new (Bus as unknown as new () => EventTarget)().dispatchEvent(new Event('a')) as unknown, 'mine');
  },
  'classes with private fields, getters and subclasses of Error'() {
    class Problem extends TypeError {
      override name = 'Problem';
      readonly #secret = 1;
      get secret() {
        return this.#secret;
      }
    }
    const problem = new Problem('a');
    deepEqual([problem.secret, problem.name, problem instanceof TypeError, problem.stack], [1, 'Problem', true, '']);
  },
  async 'async generators and iterators'() {
    async function* count() {
      yield* [1, 2, 3];
    }
    const seen: number[] = [];
    for await (const value of count()) seen.push(value);
    deepEqual(seen, [1, 2, 3]);
    deepEqual([...new Map([[1, 2]]).entries()], [[1, 2]]);
  },
  'classes are called what they are'() {
    const classes = { URL, Blob, Response, Event, AbortSignal, TextDecoder, ReadableStream, DOMException };
    for (const [name, value] of Object.entries(classes)) equal(value.name, name);
    equal(Object.prototype.toString.call(new Response()), '[object Response]');
  },
  'performance.now moves on'() {
    const start = performance.now();
    ok(performance.now() >= start && performance.timeOrigin > 0);
  },
  'what is not there'() {
    const names =
      'process Buffer require setImmediate WebAssembly SharedArrayBuffer Atomics MessageChannel Worker global';
    for (const name of [...names.split(' '), 'BroadcastChannel', 'navigator', 'FinalizationRegistry']) {
      equal(typeof (globalThis as Record<string, unknown>)[name], 'undefined');
    }
  },
};
