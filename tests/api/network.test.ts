// Modules' fetch against real servers on the loopback, which is granted by address: names lead there by a stub of DNS.

import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { ApiError } from '@bulkhead/sdk/contract';
import t, { type Test } from 'tap';
import {
  createFetcher,
  type Fetcher,
  type FetcherOptions,
  type FetchRequest,
  type FetchResponse,
} from '../../packages/runtime/src/api/network.ts';

t.test('a granted request arrives, and its answer comes back', async (t) => {
  const { base, fetcher } = await world(t, async (request, response) => {
    const body = await text(request);
    response.writeHead(
      201,
      'Made',
      [
        ['x-echo', `${request.method} ${request.url} ${request.headers['x-a']} ${body}`],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
      ].flat(),
    );
    response.end('hello');
  });
  const response = await fetcher.fetch(
    ask(`${base}/path?query#fragment`, { method: 'POST', headers: [['X-A', '1']], body: stream('bo', 'dy') }),
  );
  t.match(response, { status: 201, statusText: 'Made', url: `${base}/path?query`, redirected: false });
  t.equal(header(response, 'x-echo'), 'POST /path?query 1 body');
  t.strictSame(
    response.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
    ['a=1', 'b=2'],
  );
  t.equal(await bodyOf(response), 'hello');
});

t.test('bodies: none for HEAD and 204, decoded for gzip and brotli', async (t) => {
  const { base, fetcher } = await world(t, (request, response) => {
    if (request.url === '/none') return void response.writeHead(204).end();
    const encoding = request.url?.slice(1) ?? '';
    response.writeHead(200, { 'content-encoding': encoding });
    response.end(encoding === 'gzip' ? gzipSync('text') : brotliCompressSync('text'));
  });
  t.equal((await fetcher.fetch(ask(`${base}/none`))).body, null);
  t.equal((await fetcher.fetch(ask(`${base}/gzip`, { method: 'HEAD' }))).body, null);
  t.equal(await bodyOf(await fetcher.fetch(ask(`${base}/gzip`))), 'text');
  t.equal(await bodyOf(await fetcher.fetch(ask(`${base}/br`))), 'text');
});

t.test('what was not granted is refused before anything is sent, with the line that grants it', async (t) => {
  const { base, port, hits, fetcher } = await world(t, (_, response) => response.end());
  const refused = (url: string, message: RegExp) =>
    t.rejects(fetcher.fetch(ask(url)), { code: 'PermissionDenied', message });
  await refused('https://evil.example/', /may not reach evil\.example.*permissions: \{ network: \[evil\.example\] \}/);
  await refused(`http://localhost:${port}/`, new RegExp(`network: \\[localhost:${port}\\]`));
  await refused(`http://[::ffff:127.0.0.1]:${port}/`, /network: \["\[::ffff:7f00:1\]/);
  await refused('http://127.0.0.1/', /network: \[127\.0\.0\.1\]/);
  t.equal(hits.length, 0);
  await fetcher.fetch(ask(base.replace('127.0.0.1', '0x7f.1')));
  t.equal(hits.length, 1, 'the same address in another spelling is the same');
});

t.test('URLs that are none of the web', async (t) => {
  const { port, fetcher } = await world(t, (_, response) => response.end());
  for (const url of ['data:text/plain,a', 'file:///etc/passwd', 'blob:null/1', 'ftp://127.0.0.1/', 'ws://127.0.0.1/']) {
    await t.rejects(fetcher.fetch(ask(url)), { code: 'FetchFailed', message: /only http/ });
  }
  await t.rejects(fetcher.fetch(ask('/relative')), { code: 'InvalidArgument' });
  await t.rejects(fetcher.fetch(ask(`http://user:pass@127.0.0.1:${port}/`)), {
    code: 'FetchFailed',
    message: /password/,
  });
});

t.test('a granted name must not lead inside', async (t) => {
  const inside = await serve(t, (_, response) => response.end('secret'));
  const names: Record<string, string[]> = {
    'loop.test': ['127.0.0.1'],
    'mapped.test': ['::ffff:127.0.0.1'],
    'six.test': ['::1'],
    'zero.test': ['0.0.0.0'],
    'cloud.test': ['169.254.169.254'],
    'none.test': [],
  };
  const fetcher = guarded(t, { grants: ['*.test:*', '*:*'], lookup: dns(names) });
  for (const name of Object.keys(names)) {
    const error = await fetcher.fetch(ask(`http://${name}:${inside.port}/`)).catch((error: unknown) => error);
    t.match(error, { code: 'PermissionDenied', message: /not public.*permissions: \{ network: \["<address>:/ }, name);
    t.notMatch((error as Error).message, /127\.0\.0|169\.254/, 'a module cannot map the network by names');
    if (name === 'cloud.test') t.match((error as Error).cause, { message: /169\.254\.169\.254/ }, 'the log can say it');
  }
  await t.rejects(fetcher.fetch(ask(`http://127.0.0.1:${inside.port}/`)), {
    code: 'PermissionDenied',
    message: /not a public/,
  });
  await t.rejects(fetcher.fetch(ask(`http://[::1]:${inside.port}/`)), {
    code: 'PermissionDenied',
    message: /not a public/,
  });
  t.equal(inside.sockets(), 0, 'nobody even connected');
});

t.test('a name that changes where it leads after it was checked', async (t) => {
  const inside = await serve(t, (_, response) => response.end('secret'));
  const outside = await serve(t, (_, response) => response.writeHead(200, { connection: 'close' }).end('fine'));
  let asked = 0;
  // Both are on this machine: the granted port stands for outside, the other for inside.
  const fetcher = guarded(t, {
    grants: ['rebind.test:*', `127.0.0.1:${outside.port}`],
    lookup: async () => [{ address: asked++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 }],
  });
  t.equal(await bodyOf(await fetcher.fetch(ask(`http://rebind.test:${outside.port}/`))), 'fine');
  await t.rejects(fetcher.fetch(ask(`http://rebind.test:${outside.port}/`)), { code: 'PermissionDenied' });
  await t.rejects(fetcher.fetch(ask(`http://rebind.test:${inside.port}/`)), { code: 'PermissionDenied' });
  t.equal(asked, 3, 'each connection asks once, and goes where that answer led');
  t.equal(inside.sockets(), 0);
});

t.test('of several addresses only the allowed ones are tried', async (t) => {
  const { port, names, fetcher } = await world(t, (_, response) => response.end('fine'));
  names['both.test'] = ['10.0.0.1', '127.0.0.1'];
  t.equal(await bodyOf(await fetcher.fetch(ask(`http://both.test:${port}/`))), 'fine');
});

t.test('localhost, granted by its name', async (t) => {
  const { port, close } = await serve(t, (_, response) => response.end('fine'));
  const fetcher = guarded(t, { grants: [`localhost:${port}`] });
  t.equal(await bodyOf(await fetcher.fetch(ask(`http://localhost:${port}/`))), 'fine');
  await fetcher.close();
  await close();
});

t.test('redirects', async (t) => {
  const seen: IncomingMessage[] = [];
  const bodies: string[] = [];
  const handler: RequestListener = async (request, response) => {
    seen.push(request);
    bodies.push(await text(request));
    const url = new URL(request.url ?? '', 'http://x');
    const to = url.searchParams.get('to');
    if (to === null) return void response.end('end');
    response.writeHead(Number(url.searchParams.get('status') ?? 302), { location: to }).end('moved');
  };
  const { base, port, fetcher } = await world(t, handler);
  const moved = (status: number, to: string) => `${base}/?${new URLSearchParams({ status: String(status), to })}`;

  t.test('are followed, relative ones too', async (t) => {
    const response = await fetcher.fetch(ask(moved(302, '/there#part')));
    t.match(response, { status: 200, url: `${base}/there`, redirected: true });
    t.equal(await bodyOf(response), 'end');
  });

  t.test('are handed over by "manual" and refused by "error"', async (t) => {
    const response = await fetcher.fetch(ask(moved(302, '/there'), { redirect: 'manual' }));
    t.match(response, { status: 302, redirected: false });
    t.equal(header(response, 'location'), '/there');
    t.equal(await bodyOf(response), 'moved');
    await t.rejects(fetcher.fetch(ask(moved(302, '/there'), { redirect: 'error' })), { code: 'FetchFailed' });
    t.match(await drained(fetcher.fetch(ask(`${base}/`, { redirect: 'error' }))), { status: 200 });
  });

  t.test('are checked anew: nothing is sent to where no grant leads', async (t) => {
    const inside = await serve(t, (_, response) => response.end('secret'));
    for (const to of [`http://127.0.0.1:${inside.port}/`, `//127.0.0.1:${inside.port}/`, 'https://evil.example/']) {
      await t.rejects(fetcher.fetch(ask(moved(307, to))), {
        code: 'PermissionDenied',
        message: new RegExp(`127\\.0\\.0\\.1:${port} redirected to`),
      });
    }
    for (const to of ['file:///etc/passwd', 'data:,a']) {
      await t.rejects(fetcher.fetch(ask(moved(302, to))), { code: 'FetchFailed', message: /only http/ });
    }
    await t.rejects(fetcher.fetch(ask(moved(302, 'http://['))), { code: 'FetchFailed', message: /no URL/ });
    t.equal(inside.sockets(), 0);
  });

  t.test('end after five', async (t) => {
    const nested = (count: number): string =>
      count === 0 ? '/' : `/?${new URLSearchParams({ to: nested(count - 1) })}`;
    t.match(await drained(fetcher.fetch(ask(base + nested(5)))), { status: 200 });
    await t.rejects(fetcher.fetch(ask(base + nested(6))), { code: 'FetchFailed', message: /more than 5 times/ });
  });

  t.test('carry credentials to the same origin only', async (t) => {
    const headers: [string, string][] = [
      ['authorization', 'Bearer secret'],
      ['cookie', 'a=1'],
      ['x-other', 'kept'],
    ];
    await drained(fetcher.fetch(ask(moved(307, '/there'), { headers })));
    t.match(seen.at(-1)?.headers, { authorization: 'Bearer secret', cookie: 'a=1' });
    await drained(fetcher.fetch(ask(moved(307, `http://other.test:${port}/there`), { headers })));
    t.equal(seen.at(-1)?.headers.host, `other.test:${port}`);
    t.equal(seen.at(-1)?.headers.authorization, undefined);
    t.equal(seen.at(-1)?.headers.cookie, undefined);
    t.equal(seen.at(-1)?.headers['x-other'], 'kept');
  });

  t.test('keep or change the method as the standard says', async (t) => {
    const cases: [status: number, method: string, then: string, body: string][] = [
      [301, 'POST', 'GET', ''],
      [302, 'POST', 'GET', ''],
      [302, 'PUT', 'PUT', 'body'],
      [303, 'POST', 'GET', ''],
      [303, 'PUT', 'GET', ''],
      [307, 'POST', 'POST', 'body'],
      [308, 'post', 'POST', 'body'],
    ];
    for (const [status, method, then, body] of cases) {
      const headers: [string, string][] = [['content-type', 'text/plain']];
      await drained(fetcher.fetch(ask(moved(status, '/there'), { method, headers, body: stream('body') })));
      t.equal(seen.at(-1)?.method, then, `${status} ${method}`);
      t.equal(bodies.at(-1), body);
      t.equal(seen.at(-1)?.headers['content-type'], body === '' ? undefined : 'text/plain');
    }
    await drained(fetcher.fetch(ask(moved(303, '/there'), { method: 'HEAD' })));
    t.equal(seen.at(-1)?.method, 'HEAD');
  });

  t.test('cannot send a large body again', async (t) => {
    const body = () => stream(...Array.from({ length: 20 }, () => 'x'.repeat(10_000)));
    await t.rejects(fetcher.fetch(ask(moved(307, '/there'), { method: 'POST', body: body() })), {
      message: /sent again/,
    });
    t.match(await drained(fetcher.fetch(ask(moved(303, '/there'), { method: 'POST', body: body() }))), { status: 200 });
    t.equal(bodies.at(-2)?.length, 200_000);
  });
});

t.test('headers by which a message could be cut in two are dropped', async (t) => {
  const { base, hits, fetcher } = await world(t, async (request, response) => response.end(await text(request)));
  const headers: [string, string][] = [
    ['Host', 'evil.example'],
    ['content-length', '1'],
    ['Transfer-Encoding', 'chunked, identity'],
    ['Connection', 'close, x-kept'],
    ['Upgrade', 'h2c'],
    ['Expect', '100-continue'],
    ['proxy-authorization', 'Basic x'],
    ['x-kept', 'yes'],
  ];
  const response = await fetcher.fetch(
    ask(base, { method: 'POST', headers, body: stream('GET /second HTTP/1.1\r\n\r\n') }),
  );
  t.equal(await bodyOf(response), 'GET /second HTTP/1.1\r\n\r\n');
  t.equal(hits.length, 1);
  t.match(hits[0]?.headers, {
    host: new URL(base).host,
    'content-length': '24',
    'x-kept': 'yes',
    connection: 'keep-alive',
  });
  for (const name of ['transfer-encoding', 'upgrade', 'expect', 'proxy-authorization']) {
    t.equal(hits[0]?.headers[name], undefined, name);
  }
});

t.test('what is no request is the caller’s fault', async (t) => {
  const { base, hits, fetcher } = await world(t, (_, response) => response.end());
  const wrong: Partial<FetchRequest>[] = [
    { headers: [['x-a', 'a\r\nx-b: b']] },
    { headers: [['x\r\na', 'a']] },
    { method: 'GET /\r\n' },
    { method: 'CONNECT' },
    { method: 'GET', body: stream('a') },
  ];
  for (const request of wrong) await t.rejects(fetcher.fetch(ask(base, request)), { code: 'InvalidArgument' });
  t.equal(hits.length, 0);
});

t.test('sizes', async (t) => {
  const { base, fetcher } = await world(
    t,
    async (request, response) => {
      switch (request.url) {
        case '/upload':
          return response.end(String((await text(request)).length));
        case '/announced':
          return response.writeHead(200, { 'content-length': 10_000_000 }).end();
        case '/endless':
          return void endless(response);
        case '/bomb':
          return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(50_000_000)));
        case '/nested':
          return response.writeHead(200, { 'content-encoding': 'gzip, gzip' }).end(gzipSync(gzipSync('a')));
        case '/hollow':
          response.writeHead(200, { 'content-encoding': 'gzip' });
          return void endless(response, Buffer.concat(Array.from({ length: 1000 }, () => gzipSync(''))));
        case '/headers':
          return response.writeHead(200, { 'x-large': 'x'.repeat(20_000) }).end();
        default:
          return response.end('x'.repeat(100_000));
      }
    },
    { maxRequestBytes: 100_000, maxResponseBytes: 100_000, timeout: 10_000 },
  );

  t.test('up to the limit all is well', async (t) => {
    t.equal((await bodyOf(await fetcher.fetch(ask(`${base}/limit`)))).length, 100_000);
    const body = stream('x'.repeat(60_000), 'x'.repeat(40_000));
    t.equal(await bodyOf(await fetcher.fetch(ask(`${base}/upload`, { method: 'POST', body }))), '100000');
  });

  t.test('a request beyond it fails', async (t) => {
    for (const chunks of [
      ['x'.repeat(100_001)],
      ['x'.repeat(60_000), 'x'.repeat(40_001)],
      Array(11).fill('x'.repeat(10_000)),
    ]) {
      const body = stream(...chunks);
      await t.rejects(fetcher.fetch(ask(`${base}/upload`, { method: 'POST', body })), {
        code: 'FetchFailed',
        message: /more than 100000 bytes/,
      });
    }
  });

  t.test('a response beyond it fails: announced, endless, or from a bomb', async (t) => {
    await t.rejects(fetcher.fetch(ask(`${base}/announced`)), {
      code: 'FetchFailed',
      message: /more than 100000 bytes/,
    });
    for (const path of ['/endless', '/bomb']) {
      const response = await fetcher.fetch(ask(base + path));
      let received = 0;
      await t.rejects(
        async () => {
          for await (const chunk of response.body ?? []) received += chunk.length;
        },
        { code: 'FetchFailed', message: /more than 100000 bytes/ },
        path,
      );
      t.ok(received <= 100_000);
    }
  });

  t.test('what decodes to nothing is counted as it arrives', async (t) => {
    await t.rejects(fetcher.fetch(ask(`${base}/nested`)), { code: 'FetchFailed', message: /more than once/ });
    const hollow = await fetcher.fetch(ask(`${base}/hollow`));
    await t.rejects(bodyOf(hollow), { code: 'FetchFailed', message: /UND_ERR_RES_EXCEEDED_MAX_SIZE/ });
  });

  t.test('headers are limited', async (t) => {
    await t.rejects(fetcher.fetch(ask(`${base}/headers`)), {
      code: 'FetchFailed',
      message: /UND_ERR_HEADERS_OVERFLOW/,
    });
  });
});

t.test('time', async (t) => {
  const { base, fetcher } = await world(
    t,
    async (request, response) => {
      if (request.url === '/silent') return;
      if (request.url === '/redirects') {
        await sleep(80);
        return void response.writeHead(302, { location: '/redirects' }).end();
      }
      response.write('a');
      const timer = setInterval(() => response.write('a'), 20);
      response.on('close', () => clearInterval(timer));
    },
    { timeout: 200 },
  );
  const late = { code: 'FetchFailed', message: /took longer than 200 ms/ };

  t.test('runs out for a server that does not answer', (t) => t.rejects(fetcher.fetch(ask(`${base}/silent`)), late));
  t.test('is one for all redirects', (t) => t.rejects(fetcher.fetch(ask(`${base}/redirects`)), late));
  t.test('runs out for a body that trickles', async (t) => {
    await t.rejects(bodyOf(await fetcher.fetch(ask(`${base}/trickle`))), late);
  });
  t.test('runs out for a request that is never complete', async (t) => {
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      cancel: () => {
        cancelled = true;
      },
    });
    await t.rejects(fetcher.fetch(ask(`${base}/trickle`, { method: 'POST', body })), late);
    t.ok(cancelled, 'the module is told to stop');
  });
  t.test('that runs out does not pass half a request for a whole one', async (t) => {
    let complete: boolean | undefined;
    const server = await world(
      t,
      async (request) => {
        await text(request);
        complete = request.complete;
      },
      { timeout: 200 },
    );
    const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new Uint8Array(100_000)) });
    await t.rejects(server.fetcher.fetch(ask(server.base, { method: 'POST', body })), late);
    await until(() => complete !== undefined);
    t.equal(complete, false);
  });
  t.test('runs out for a name server that keeps silent', async (t) => {
    const silent = guarded(t, { grants: ['*'], timeout: 200, lookup: () => new Promise(() => {}) });
    await t.rejects(silent.fetch(ask('http://silent.test/')), late);
  });
});

t.test('the caller can give up', async (t) => {
  let closed = 0;
  const { base, fetcher } = await world(t, (request, response) => {
    response.on('close', () => closed++);
    if (request.url === '/body') response.write('a');
  });
  const early = AbortSignal.abort();
  await t.rejects(fetcher.fetch(ask(base, { signal: early })), { code: 'FetchFailed', message: /cancelled/ });

  const controller = new AbortController();
  const waiting = fetcher.fetch(ask(base, { signal: controller.signal }));
  setTimeout(() => controller.abort(), 50);
  await t.rejects(waiting, { code: 'FetchFailed', message: /cancelled/ });

  const reading = new AbortController();
  const response = await fetcher.fetch(ask(`${base}/body`, { signal: reading.signal }));
  setTimeout(() => reading.abort(), 50);
  await t.rejects(bodyOf(response), { code: 'FetchFailed', message: /cancelled/ });

  const unread = await fetcher.fetch(ask(`${base}/body`));
  await unread.body?.cancel();
  await until(() => closed === 3);
  t.pass('and no connection stays behind');
});

t.test('a module cannot hold the host’s descriptors', async (t) => {
  t.test('by answers that it never reads', async (t) => {
    const { base, fetcher, sockets } = await world(t, (_, response) => void response.write('a'), {
      maxUnderWay: 5,
      timeout: 500,
    });
    const attempts = await Promise.allSettled(Array.from({ length: 50 }, () => fetcher.fetch(ask(base))));
    const refused = attempts.filter((attempt) => attempt.status === 'rejected');
    t.equal(refused.length, 45);
    t.match(refused[0]?.reason, { code: 'QuotaExceeded', message: /5 requests/ });
    t.equal(sockets(), 5);
    await until(() => sockets() === 0);
    t.match(await fetcher.fetch(ask(base)), { status: 200 }, 'time gives the places back');
  });

  t.test('by connections to names without end', async (t) => {
    const { port, fetcher, names, sockets } = await world(t, (_, response) => response.end('a'), { maxUnderWay: 3 });
    const results: string[] = [];
    for (let i = 0; i < 20; i++) {
      names[`n${i}.test`] = ['127.0.0.1'];
      const outcome = drained(fetcher.fetch(ask(`http://n${i}.test:${port}/`)));
      results.push(
        await outcome.then(
          () => 'answered',
          (error: ApiError) => error.code,
        ),
      );
    }
    t.strictSame(results, [...Array(6).fill('answered'), ...Array(14).fill('QuotaExceeded')]);
    t.equal(sockets(), 6);
  });

  t.test('by giving up while it connects', async (t) => {
    let asked = 0;
    const fetcher = guarded(t, {
      grants: ['*'],
      maxUnderWay: 3,
      lookup: () => {
        asked++;
        return new Promise(() => {});
      },
    });
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const attempt = fetcher.fetch(ask(`http://n${i}.test/`, { signal: controller.signal }));
      setTimeout(() => controller.abort(), 5);
      await t.rejects(attempt, { code: i < 6 ? 'FetchFailed' : 'QuotaExceeded' });
    }
    t.equal(asked, 6);
  });
});

t.test('failures name the host and nothing of the network behind it', async (t) => {
  const { port, close } = await serve(t, (_, response) => response.end());
  await close();
  const fetcher = guarded(t, {
    grants: [`gone.test:${port}`, `127.0.0.1:${port}`, 'unknown.test'],
    lookup: async (name) => {
      if (name === 'unknown.test') throw Object.assign(new Error('getaddrinfo 10.0.0.53'), { code: 'ENOTFOUND' });
      return [{ address: '127.0.0.1', family: 4 }];
    },
  });
  const refused = await fetcher.fetch(ask(`http://gone.test:${port}/`)).catch((error: unknown) => error);
  t.ok(refused instanceof ApiError);
  t.match(refused, { code: 'FetchFailed', message: `the request to gone.test:${port} failed: ECONNREFUSED` });
  await t.rejects(fetcher.fetch(ask('http://unknown.test/')), {
    code: 'FetchFailed',
    message: 'the request to unknown.test failed: ENOTFOUND',
  });
});

t.test('connections that failed hold no place', async (t) => {
  const { port, close } = await serve(t, (_, response) => response.end());
  await close();
  const fetcher = guarded(t, { grants: [`127.0.0.1:${port}`], maxUnderWay: 2 });
  for (let i = 0; i < 10; i++) {
    await t.rejects(fetcher.fetch(ask(`http://127.0.0.1:${port}/`)), { code: 'FetchFailed', message: /ECONNREFUSED/ });
  }
});

t.test('a server that breaks off breaks the body', async (t) => {
  const { base, fetcher } = await world(t, (_, response) => {
    response.write('a');
    setTimeout(() => response.destroy(), 20);
  });
  await t.rejects(bodyOf(await fetcher.fetch(ask(base))), { code: 'FetchFailed', message: /failed: / });
});

t.test('closing ends what is under way, and refuses the rest', async (t) => {
  const { base, fetcher, sockets } = await world(t, (request, response) => {
    if (request.url === '/body') response.write('a');
  });
  const response = await fetcher.fetch(ask(`${base}/body`));
  const waiting = fetcher.fetch(ask(`${base}/silent`));
  const outcomes = Promise.all([t.rejects(waiting, { code: 'Gone' }), t.rejects(bodyOf(response), { code: 'Gone' })]);
  await sleep(50);
  await fetcher.close();
  await outcomes;
  await until(() => sockets() === 0);
  await t.rejects(fetcher.fetch(ask(base)), { code: 'Gone' });
});

t.test('closing ends idle connections as well', async (t) => {
  const { base, fetcher, sockets } = await world(t, (_, response) => response.end('a'));
  await bodyOf(await fetcher.fetch(ask(base)));
  t.equal(sockets(), 1);
  const start = performance.now();
  await fetcher.close();
  await until(() => sockets() === 0);
  t.ok(performance.now() - start < 1000);
});

t.test('connections are kept between requests', async (t) => {
  const remotes = new Set<number | undefined>();
  const { base, fetcher } = await world(t, (request, response) => {
    remotes.add(request.socket.remotePort);
    response.end('a');
  });
  for (let i = 0; i < 5; i++) await bodyOf(await fetcher.fetch(ask(base)));
  t.ok(remotes.size <= 2, `${remotes.size} connections for five requests`);
});

t.test('but not for as long as the server would like', async (t) => {
  const { base, fetcher, sockets } = await world(t, (_, response) => {
    response.writeHead(200, { 'keep-alive': 'timeout=600' }).end('a');
  });
  await bodyOf(await fetcher.fetch(ask(base)));
  t.equal(sockets(), 1);
  const start = performance.now();
  await until(() => sockets() === 0);
  t.ok(performance.now() - start < 8000);
});

/** A server, its names `*.test`, and a fetcher that may reach it. */
async function world(t: Test, handler: RequestListener, options: Partial<FetcherOptions> = {}) {
  const hits: IncomingMessage[] = [];
  const server = await serve(t, (request, response) => {
    hits.push(request);
    return handler(request, response);
  });
  const names: Record<string, string[]> = { 'other.test': ['127.0.0.1'] };
  const fetcher = guarded(t, {
    grants: [`127.0.0.1:${server.port}`, `*.test:${server.port}`],
    ...options,
    lookup: dns(names),
  });
  return { ...server, base: `http://127.0.0.1:${server.port}`, hits, names, fetcher };
}

function guarded(t: Test, options: FetcherOptions): Fetcher {
  const fetcher = createFetcher(options);
  t.teardown(() => fetcher.close());
  return fetcher;
}

async function serve(t: Test, handler: RequestListener) {
  const open = new Set<Socket>();
  let connections = 0;
  // Longer than any test: who closes a connection is then the fetcher.
  const server = createServer({ keepAliveTimeout: 60_000 }, handler).on('connection', (socket) => {
    connections++;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  t.teardown(close);
  return {
    port: (server.address() as AddressInfo).port,
    sockets: () => open.size,
    connections: () => connections,
    close,
  };
}

function dns(names: Readonly<Record<string, string[]>>): NonNullable<FetcherOptions['lookup']> {
  return async (name) => {
    const addresses = names[name];
    if (addresses === undefined) throw Object.assign(new Error(`getaddrinfo ${name}`), { code: 'ENOTFOUND' });
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
}

function ask(url: string, request: Partial<FetchRequest> = {}): FetchRequest {
  return { method: 'GET', url, headers: [], body: null, redirect: 'follow', ...request };
}

function stream(...chunks: string[]): ReadableStream<Uint8Array> {
  const rest = chunks.map((chunk) => new TextEncoder().encode(chunk));
  return new ReadableStream({
    pull(controller) {
      const chunk = rest.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
  });
}

async function bodyOf({ body }: FetchResponse): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of body ?? []) text += decoder.decode(chunk, { stream: true });
  return text;
}

async function drained(response: Promise<FetchResponse>): Promise<FetchResponse> {
  await bodyOf(await response);
  return response;
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk);
  } catch {
    // The fetcher gave up.
  }
  return Buffer.concat(chunks).toString();
}

function header(response: FetchResponse, name: string): string | undefined {
  return response.headers.find(([key]) => key === name)?.[1];
}

async function endless(response: ServerResponse, chunk: Uint8Array = Buffer.alloc(10_000)): Promise<void> {
  while (!response.destroyed) {
    if (!response.write(chunk))
      await Promise.race([new Promise((resolve) => response.once('drain', resolve)), sleep(50)]);
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}
