import { deepEqual, equal, ok, rejects, throws } from './assert.js';

const URL_ = 'https://example.com/path';

export const fetchClasses = {
  'Headers: joined, sorted, any case'() {
    const headers = new Headers([
      ['X-B', '1'],
      ['a', ' 2 '],
    ]);
    headers.append('x-b', '3');
    equal(headers.get('X-b'), '1, 3');
    deepEqual(
      [...headers],
      [
        ['a', '2'],
        ['x-b', '1, 3'],
      ],
    );
  },
  'Headers: cookies stay apart'() {
    const headers = new Headers();
    headers.append('set-cookie', 'a=1');
    headers.append('set-cookie', 'b=2');
    deepEqual(headers.getSetCookie(), ['a=1', 'b=2']);
    deepEqual([...headers.keys()], ['set-cookie', 'set-cookie']);
  },
  'Headers: no line ends in a value'() {
    throws(() => new Headers({ a: 'b\r\nc: d' }), 'TypeError');
    throws(() => new Headers({ 'a b': 'c' }), 'TypeError');
    throws(() => new Headers({ a: '☃' }), 'TypeError');
  },
  async 'Response: json'() {
    const response = Response.json({ a: [1] }, { status: 201 });
    equal(response.headers.get('content-type'), 'application/json');
    equal(response.status, 201);
    deepEqual(await response.json(), { a: [1] });
  },
  async 'Response: redirect and error'() {
    const redirect = Response.redirect('https://example.com/', 307);
    deepEqual([redirect.status, redirect.headers.get('location')], [307, 'https://example.com/']);
    throws(() => redirect.headers.set('a', 'b'), 'TypeError');
    deepEqual([Response.error().type, Response.error().status], ['error', 0]);
  },
  async 'Response: clone'() {
    const response = new Response('twice', { headers: { a: 'b' } });
    const clone = response.clone();
    deepEqual([await response.text(), await clone.text(), clone.headers.get('a')], ['twice', 'twice', 'b']);
  },
  async 'Response: clone of a stream'() {
    const response = new Response(ReadableStream.from([new Uint8Array([65]), new Uint8Array([66])]));
    const clone = response.clone();
    deepEqual([await response.text(), await clone.text()], ['AB', 'AB']);
  },
  async 'Response: a body is used once'() {
    const response = new Response('once');
    await response.text();
    ok(response.bodyUsed);
    await rejects(response.text(), 'TypeError');
    throws(() => response.clone(), 'TypeError');
  },
  async 'Response: the stream of a body'() {
    const response = new Response('abc');
    const { value } = await (response.body as ReadableStream<Uint8Array>).getReader().read();
    equal(new TextDecoder().decode(value), 'abc');
    ok(response.bodyUsed);
  },
  async 'Response: all kinds of body'() {
    const bytes = new Uint8Array([104, 105]);
    const kinds: unknown[] = ['hi', bytes, bytes.buffer, new DataView(bytes.buffer), new Blob(['hi'])];
    for (const kind of kinds) equal(await new Response(kind as string).text(), 'hi');
    equal(await new Response(new URLSearchParams({ a: 'b c' })).text(), 'a=b+c');
    equal(await new Response(null).text(), '');
  },
  async 'Response: content types'() {
    equal(new Response('a').headers.get('content-type'), 'text/plain;charset=UTF-8');
    equal(new Response(new Blob(['a'], { type: 'image/png' })).headers.get('content-type'), 'image/png');
    equal((await new Response('a', { headers: { 'content-type': 'text/css' } }).blob()).type, 'text/css');
  },
  async 'Response: no body with 204, no status 99'() {
    throws(() => new Response('a', { status: 204 }), 'TypeError');
    throws(() => new Response(null, { status: 99 }), 'RangeError');
    equal(new Response(null, { status: 204 }).body, null);
  },
  async 'Response: chunks must be bytes'() {
    await rejects(new Response(ReadableStream.from(['text']) as never).text(), 'TypeError');
  },
  async 'Request: reads its options'() {
    const request = new Request(URL_, { method: 'post', headers: { a: 'b' }, body: 'text' });
    deepEqual([request.method, request.url, request.headers.get('a')], ['POST', URL_, 'b']);
    equal(await request.text(), 'text');
  },
  async 'Request: a stream for a body'() {
    const body = ReadableStream.from([new TextEncoder().encode('streamed')]);
    throws(() => new Request(URL_, { method: 'POST', body }), 'TypeError');
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    equal(await new Request(URL_, init).text(), 'streamed');
  },
  async 'Request: made of another'() {
    const first = new Request(URL_, { method: 'PUT', body: 'moved', headers: { a: 'b' } });
    const second = new Request(first, { headers: { c: 'd' } });
    ok(first.bodyUsed);
    deepEqual([second.method, second.headers.get('a'), second.headers.get('c')], ['PUT', null, 'd']);
    equal(await second.text(), 'moved');
  },
  async 'Request: as the options of another'() {
    const first = new Request(URL_, { method: 'PUT', body: 'text', headers: { a: 'b' } });
    const second = new Request('https://example.com/other', first as never);
    deepEqual([second.url, second.method, second.headers.get('a')], ['https://example.com/other', 'PUT', 'b']);
    equal(await second.text(), 'text');
  },
  async 'Request: clone'() {
    const request = new Request(URL_, { method: 'POST', body: 'twice' });
    const clone = request.clone();
    deepEqual([await request.text(), await clone.text(), clone.method], ['twice', 'twice', 'POST']);
  },
  'Request: follows a signal'() {
    const abort = new AbortController();
    const request = new Request(URL_, { signal: abort.signal });
    equal(request.signal.aborted, false);
    abort.abort('gone');
    deepEqual([request.signal.aborted, request.signal.reason], [true, 'gone']);
  },
  'Request: what it refuses'() {
    throws(() => new Request(URL_, { body: 'a' }), 'TypeError');
    throws(() => new Request(URL_, { method: 'CONNECT' }), 'TypeError');
    throws(() => new Request('/relative'), 'TypeError');
    throws(() => new Request('https://user:secret@example.com/'), 'TypeError');
  },
  async 'Request: subclassed, with own fields'() {
    class Own extends Request {
      readonly extra = 'more';
    }
    const own = new Own(URL_, { method: 'POST', body: 'a' });
    deepEqual([own.extra, own instanceof Request, await own.text()], ['more', true, 'a']);
  },
  async 'FormData: there and back'() {
    const form = new FormData();
    form.append('text', 'a\nb');
    form.append('file', new File(['content'], 'q".txt', { type: 'text/css' }));
    form.append('blob', new Blob([new Uint8Array([0, 13, 10, 255])]));
    const read = await new Response(form).formData();
    equal(read.get('text'), 'a\r\nb');
    const file = read.get('file') as File;
    deepEqual([file.name, file.type, await file.text()], ['q".txt', 'text/css', 'content']);
    const blob = read.get('blob') as File;
    deepEqual([blob.name, [...new Uint8Array(await blob.arrayBuffer())]], ['blob', [0, 13, 10, 255]]);
  },
  async 'FormData: url-encoded, and what is no form'() {
    const form = await new Response(new URLSearchParams('a=1&a=2')).formData();
    deepEqual(form.getAll('a'), ['1', '2']);
    await rejects(new Response('a').formData(), 'TypeError');
    const headers = { 'content-type': 'multipart/form-data; boundary=x' };
    await rejects(new Response('--y', { headers }).formData(), 'TypeError');
  },
  'FormData: set, delete, iterate'() {
    const form = new FormData();
    for (const value of ['1', '2', '3']) form.append('a', value);
    form.set('a', '4');
    form.append('b', '5');
    deepEqual(
      [...form],
      [
        ['a', '4'],
        ['b', '5'],
      ],
    );
    form.delete('a');
    deepEqual([form.has('a'), [...form.values()]], [false, ['5']]);
  },
};
