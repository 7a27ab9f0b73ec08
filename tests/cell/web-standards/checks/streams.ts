import { deepEqual, equal, ok, rejects, throws } from './assert.js';

const numbers = (...values: number[]): ReadableStream<number> =>
  new ReadableStream({
    start(controller) {
      for (const value of values) controller.enqueue(value);
      controller.close();
    },
  });

async function all<T>(stream: ReadableStream<T>): Promise<T[]> {
  const values: T[] = [];
  for await (const value of stream) values.push(value);
  return values;
}

export const streams = {
  async 'ReadableStream: iterated'() {
    deepEqual(await all(numbers(1, 2, 3)), [1, 2, 3]);
  },
  async 'ReadableStream: pull respects the high-water mark'() {
    let pulls = 0;
    const stream = new ReadableStream({ pull: (c) => c.enqueue(++pulls) }, { highWaterMark: 2 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    equal(pulls, 2);
    await stream.cancel();
  },
  async 'ReadableStream: cancel tells the source why'() {
    let reason: unknown;
    await new ReadableStream({
      cancel(why) {
        reason = why;
      },
    }).cancel('enough');
    equal(reason, 'enough');
  },
  async 'ReadableStream: an error reaches the reader'() {
    const stream = new ReadableStream({ start: (c) => c.error(new RangeError('no')) });
    await rejects(stream.getReader().read(), 'RangeError');
  },
  async 'ReadableStream: tee'() {
    const [a, b] = numbers(1, 2).tee();
    deepEqual(await Promise.all([all(a), all(b)]), [
      [1, 2],
      [1, 2],
    ]);
  },
  async 'ReadableStream: from an async generator'() {
    async function* source() {
      yield 'a';
      yield 'b';
    }
    deepEqual(await all(ReadableStream.from(source())), ['a', 'b']);
  },
  async 'ReadableStream: bytes, read into own memory'() {
    const stream = new ReadableStream({
      type: 'bytes',
      start(controller) {
        controller.enqueue(new Uint8Array([1, 2, 3]));
        controller.close();
      },
    });
    const reader = stream.getReader({ mode: 'byob' });
    const { value } = await reader.read(new Uint8Array(2));
    deepEqual([...(value as Uint8Array)], [1, 2]);
  },
  async 'ReadableStream: a locked stream gives no second reader'() {
    const stream = numbers(1);
    stream.getReader();
    throws(() => stream.getReader(), 'TypeError');
  },
  async 'pipeThrough and pipeTo'() {
    const written: number[] = [];
    const double = new TransformStream<number, number>({ transform: (chunk, c) => c.enqueue(chunk * 2) });
    await numbers(1, 2, 3)
      .pipeThrough(double)
      .pipeTo(new WritableStream({ write: (chunk) => void written.push(chunk) }));
    deepEqual(written, [2, 4, 6]);
  },
  async 'pipeTo: ended by a signal'() {
    const abort = new AbortController();
    const piping = new ReadableStream({}).pipeTo(new WritableStream(), { signal: abort.signal });
    abort.abort();
    await rejects(piping, 'AbortError');
  },
  async 'WritableStream: back-pressure'() {
    let release = () => {};
    const stream = new WritableStream({ write: () => new Promise((resolve) => (release = () => resolve(undefined))) });
    const writer = stream.getWriter();
    const writing = writer.write('a');
    equal(writer.desiredSize, 0);
    await new Promise((resolve) => setTimeout(resolve, 2));
    release();
    await writing;
    equal(writer.desiredSize, 1);
  },
  async 'WritableStream: the sink sees the abort'() {
    let reason: unknown;
    const stream = new WritableStream({
      abort(why) {
        reason = why;
      },
    });
    await stream.abort('stop');
    equal(reason, 'stop');
  },
  async 'TransformStream: flush'() {
    const stream = new TransformStream<string, string>({ flush: (controller) => controller.enqueue('end') });
    const writer = stream.writable.getWriter();
    void writer.write('a');
    void writer.close();
    deepEqual(await all(stream.readable), ['a', 'end']);
  },
  'queuing strategies'() {
    equal((new CountQueuingStrategy({ highWaterMark: 3 }).size as () => number)(), 1);
    equal(new ByteLengthQueuingStrategy({ highWaterMark: 3 }).size(new Uint8Array(7)), 7);
  },
  async 'TextEncoderStream: a character in two chunks'() {
    const stream = new TextEncoderStream();
    const writer = stream.writable.getWriter();
    void writer.write('a\ud83d');
    void writer.write('\ude00');
    void writer.close();
    equal(await new Response(stream.readable).text(), 'a😀');
  },
  async 'TextDecoderStream: a character in two chunks'() {
    const bytes = new TextEncoder().encode('é');
    const source = ReadableStream.from([bytes.slice(0, 1), bytes.slice(1)]);
    deepEqual((await all(source.pipeThrough(new TextDecoderStream()))).join(''), 'é');
  },
  async 'CompressionStream: there and back, each format'() {
    const text = 'abc'.repeat(100_000);
    for (const format of ['gzip', 'deflate', 'deflate-raw'] as const) {
      const packed = new Blob([text]).stream().pipeThrough(new CompressionStream(format));
      const bytes = await bytesOf(new Response(packed));
      ok(bytes.byteLength < 10_000, 'less than the text');
      const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(format));
      equal(await new Response(unpacked).text(), text);
    }
  },
  async 'DecompressionStream: refuses what is not compressed'() {
    const stream = new Blob(['plain']).stream().pipeThrough(new DecompressionStream('gzip'));
    await rejects(new Response(stream).text(), 'TypeError');
  },
  async 'DecompressionStream: refuses half of the data'() {
    const packed = await bytesOf(
      new Response(new Blob(['abc'.repeat(999)]).stream().pipeThrough(new CompressionStream('gzip'))),
    );
    const half = new Blob([packed.slice(0, packed.length - 4)]).stream().pipeThrough(new DecompressionStream('gzip'));
    await rejects(new Response(half).text(), 'TypeError');
  },
  'CompressionStream: an unknown format'() {
    throws(() => new CompressionStream('zip' as 'gzip'), 'TypeError');
  },
};

/** Node 20's types do not know it yet. */
const bytesOf = (response: Response): Promise<Uint8Array> =>
  (response as Response & { bytes(): Promise<Uint8Array> }).bytes();
