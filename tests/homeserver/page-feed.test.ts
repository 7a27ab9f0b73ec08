// The page's files, and its feed over HTTP: who may read it, what it says, and that it does not become a burden.

import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { createHomeserver } from '@bulkhead/examples/homeserver';
import type { ModuleStatus } from '@bulkhead/runtime';
import t, { type Test } from 'tap';
import type { Client } from './client.ts';
import { allowed, refused } from './fake-modules.ts';
import { quiet, startServer, type TestServer } from './harness.ts';

type Json = Record<string, unknown>;
type Report = Record<'asked' | 'rulings' | 'watches' | 'incidents' | 'modules', Json[] | undefined> & {
  readonly omitted: number;
};

const FEED = '/chat/feed';

/** A request as no browser lets a page make it. */
function get(
  url: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asking = request(new URL(path, url), { headers }, (answer) => {
      const { statusCode: status = 0 } = answer;
      if (status === 200 && path === FEED) {
        answer.destroy();
        resolve({ status, text: '' });
        return;
      }
      let text = '';
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status, text }));
    });
    asking.on('error', reject);
    asking.end();
  });
}

/** One who watches: every report since he came. */
class Watching {
  readonly reports: Report[] = [];
  readonly over: Promise<void>;
  readonly #leave = new AbortController();

  private constructor(response: Response) {
    this.over = this.#read(response).catch(() => {});
  }

  static async start(t: Test, { url }: TestServer): Promise<Watching> {
    const watching = new Watching(await fetch(new URL(FEED, url)));
    t.teardown(() => watching.leave());
    // The first report says how the modules are; what comes after it is not missed.
    await watching.until(({ modules }) => modules !== undefined);
    return watching;
  }

  async until(found: (report: Report) => unknown): Promise<Report> {
    for (;;) {
      const report = this.reports.find(found);
      if (report) return report;
      await delay(5);
    }
  }

  /** All that was said of a kind. */
  all = (kind: keyof Omit<Report, 'omitted'>): Json[] => this.reports.flatMap((report) => report[kind] ?? []);

  async leave(): Promise<void> {
    this.#leave.abort();
    await this.over;
  }

  async #read({ body }: Response): Promise<void> {
    let text = '';
    const reader = (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
    this.#leave.signal.addEventListener('abort', () => void reader.cancel());
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (text + value).split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.reports.push(JSON.parse(block.replace(/^data: /, '')));
    }
  }
}

const status = (id: string, more: Partial<ModuleStatus> = {}): ModuleStatus => ({
  id,
  specifier: id,
  state: 'running',
  cause: 'set up',
  mode: 'enforce',
  instances: { configured: 1, running: 1 },
  callbacks: [],
  resources: [],
  permissions: { asked: {}, granted: {} } as ModuleStatus['permissions'],
  restarts: 0,
  calls: 0,
  failures: {},
  inFlight: 0,
  startMs: 1,
  memory: undefined,
  cpu: 0,
  apiCalls: 0,
  watches: {},
  hullPid: 1,
  ...more,
});

async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

t.test('the files', async (t) => {
  const { url, fake } = await startServer(t);

  await t.test('GET / leads to the page', async (t) => {
    const answer = await fetch(url);
    t.equal(new URL(answer.url).pathname, '/chat');
    t.match(answer.headers.get('content-type'), /^text\/html/);
    t.match(await answer.text(), /<title>Bulkhead on example\.com<\/title>/);
  });

  await t.test('nothing inline, nothing from elsewhere, and a policy that says so', async (t) => {
    const answer = await fetch(`${url}/chat`);
    const policy = answer.headers.get('content-security-policy') ?? '';
    t.match(policy, /default-src 'none'/);
    t.match(policy, /script-src 'self'(;|$)/);
    t.match(policy, /style-src 'self'(;|$)/);
    t.match(policy, /require-trusted-types-for 'script'/);
    t.match(policy, /frame-ancestors 'none'/);
    t.notMatch(policy, /unsafe|https?:|\*/);
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    const page = await answer.text();
    t.notMatch(page, /<style|\sstyle=|\son[a-z]+=|javascript:|https?:\/\/(?!example\.org)/);
    for (const [script] of page.matchAll(/<script[^>]*>/g)) t.match(script, ' src="/chat/', 'a script of a file');
    t.notMatch(page, /<script[^>]*>[^<]/);
  });

  await t.test('every file that the page names, and that they name', async (t) => {
    const seen = new Set<string>();
    const open = async (path: string): Promise<void> => {
      if (seen.has(path)) return;
      seen.add(path);
      const answer = await fetch(url + path);
      t.equal(answer.status, 200, path);
      t.match(answer.headers.get('content-security-policy'), /default-src 'none'/, `${path} has the policy`);
      const text = await answer.text();
      const named = [...text.matchAll(/(?:src|href)="(\/chat\/[^"]+)"|from '\.\/([^']+)'/g)];
      for (const [, whole, beside] of named) await open(whole ?? `/chat/${beside}`);
    };
    await open('/chat');
    t.ok(seen.size > 9, [...seen].join(' '));
  });

  await t.test('no other file, no other method', async (t) => {
    t.match(await get(url, '/chat/tsconfig.json'), { status: 404 });
    t.match(await get(url, '/chat/%2e%2e%2froutes.ts'), { status: 404 });
    t.equal((await fetch(`${url}/chat`, { method: 'POST' })).status, 405);
    t.equal((await fetch(`${url}/chat/page.css`, { method: 'DELETE' })).status, 405);
  });

  await t.test('other paths are whose they were', async (t) => {
    fake.resource = ({ url }) => (url.endsWith('/_synapse/client/mine') ? new Response('mine') : undefined);
    t.match(await get(url, '/_synapse/client/mine'), { status: 200, text: 'mine' });
    t.match(await get(url, '/elsewhere'), { status: 404 });
  });

  await t.test('what is offered is what the modules are there for', async (t) => {
    t.notMatch((await get(url, '/chat')).text, /data-message/);
    fake.statuses = [status('rogue')];
    const { text } = await get(url, '/chat');
    t.match(text, /data-message="!rogue loop"/);
    t.notMatch(text, /!bomb/);
  });
});

t.test('no module may have the path', async (t) => {
  const folder = t.testdir({
    'greedy.ts': `
      import { defineModule, v } from '@bulkhead/sdk';
      export default defineModule({
        name: 'greedy',
        config: v.object({}),
        permissions: { web_paths: ['/chat'] },
        setup: ({ api }) => api.registerWebResource('/chat', () => new Response('mine')),
      });`,
    'homeserver.yaml': `
      bulkhead: { storage: ./modules }
      modules: [{ module: ./greedy.ts, id: greedy, permissions: { web_paths: [/chat] } }]`,
  });
  const starting = createHomeserver({ configFile: `${folder}/homeserver.yaml`, memory: true, logger: quiet });
  await t.rejects(starting, { message: /the reserved \/chat/ });
});

t.test('who may watch', async (t) => {
  const server = await startServer(t, { admins: ['@admin:example.com'] });
  const { url } = server;
  const bearer = ({ accessToken }: Client) => ({ authorization: `Bearer ${accessToken}` });
  const [user, admin] = [bearer(await server.register('bob')), bearer(await server.register('admin'))];

  t.match(await get(url, FEED), { status: 200 }, 'whoever sits at the machine');
  const { port } = new URL(url);
  for (const host of [`localhost:${port}`, `[::1]:${port}`])
    t.match(await get(url, FEED, { host }), { status: 200 }, host);

  // A page of another name that was made to lead here, a proxy, and requests over no socket at all.
  const elsewhere: Record<string, string>[] = [
    { host: 'evil.example' },
    { host: 'localhost.evil.example' },
    { host: '127.0.0.1.evil.example' },
    { 'x-forwarded-for': '192.0.2.1' },
    { forwarded: 'for=192.0.2.1' },
    { 'x-real-ip': '192.0.2.1' },
    { via: '1.1 proxy' },
  ];
  for (const headers of elsewhere) {
    const from = JSON.stringify(headers);
    const nobody = await get(url, FEED, headers);
    t.match([nobody.status, JSON.parse(nobody.text)], [401, { errcode: 'M_MISSING_TOKEN' }], `nobody from ${from}`);
    const somebody = await get(url, FEED, { ...headers, ...user });
    t.match([somebody.status, JSON.parse(somebody.text)], [403, { errcode: 'M_FORBIDDEN' }], `a user from ${from}`);
    t.match(await get(url, FEED, { ...headers, ...admin }), { status: 200 }, `an admin from ${from}`);
  }

  const over = async (env?: object) => {
    const answer = await server.app.request(`http://127.0.0.1${FEED}`, {}, env);
    await answer.body?.cancel();
    return answer.status;
  };
  t.equal(await over(), 401, 'over no socket');
  for (const [remoteAddress, status] of [
    ['127.0.0.1', 200],
    ['::1', 200],
    ['::ffff:127.0.0.1', 200],
    ['192.0.2.1', 401],
    ['::ffff:192.0.2.1', 401],
    ['2001:db8::1', 401],
  ] as const) {
    t.equal(await over({ incoming: { socket: { remoteAddress } } }), status, remoteAddress);
  }
});

t.test('what it says', async (t) => {
  const server = await startServer(t);
  const { fake } = server;
  fake.statuses = [
    status('a', { failures: { threw: 2, parked: 3 }, calls: 7, memory: 1_000, cpu: 0.5 }),
    status('b'),
    status('c'),
  ];
  const alice = await server.register('alice');
  const room = await alice.createRoom({});
  const watching = await Watching.start(t, server);

  await t.test('how the modules are', async (t) => {
    t.match(watching.all('modules')[0], { id: 'a', state: 'running', failures: 5, calls: 7, memory: 1_000, cpu: 0.5 });
  });

  await t.test('calls, summed up by how they ended', async (t) => {
    const call = { module: 'a', callback: 'checkEventForSpam', result: 'allow' } as const;
    for (const durationMs of [1, 5, 3]) fake.emit('call', { ...call, durationMs });
    fake.emit('call', { ...call, result: 'reject', durationMs: 2 });
    const { asked } = await watching.until((report) => report.asked?.length);
    t.strictSame(asked, [
      { ...call, count: 3, slowestMs: 5 },
      { ...call, result: 'reject', count: 1, slowestMs: 2 },
    ]);
  });

  await t.test('who refused what, and why; never what was said', async (t) => {
    fake.answers = { checkEventForSpam: () => refused({ module: 'a', error: 'not here' }) };
    await t.rejects(alice.say(room, 'the secret plan'));
    const { rulings } = await watching.until((report) => report.rulings?.length);
    t.match(rulings, [
      {
        callback: 'checkEventForSpam',
        verdict: 'refused',
        module: 'a',
        about: `m.room.message from ${alice.userId}`,
        told: '403 M_FORBIDDEN: not here',
        durationMs: Number,
      },
    ]);
    t.notMatch(JSON.stringify(watching.reports), /secret plan/);
    t.notMatch(JSON.stringify(watching.reports), alice.accessToken as string);
  });

  await t.test('what went wrong, when that refuses', async (t) => {
    const failure = {
      module: 'b',
      callback: 'checkEventForSpam',
      kind: 'threw',
      message: 'oh',
      durationMs: 1,
    } as const;
    fake.answers = {
      checkEventForSpam: () =>
        refused({ cause: 'failed', module: 'b', status: 500, errcode: 'M_UNKNOWN', failures: [failure] }),
    };
    await t.rejects(alice.say(room, 'x'));
    const { rulings } = await watching.until(({ rulings }) => rulings?.some(({ verdict }) => verdict === 'failed'));
    t.match(rulings, [{ module: 'b', failure: { kind: 'threw', message: 'oh' } }]);
    fake.answers = { checkEventForSpam: () => ({ ...allowed, failures: [failure] }) };
    await alice.say(room, 'x');
    await watching.until(({ rulings }) => rulings?.some(({ verdict }) => verdict === 'overlooked'));
  });

  await t.test('replacements and shadow-bans', async (t) => {
    fake.answers = {
      checkEventAllowed: (event) => ({
        ...allowed,
        replacement: { module: 'a', event: { ...event, content: { body: 'better' } } },
      }),
      checkRegistrationForSpam: () => ({ behaviour: 'shadow_ban', module: 'b', failures: [], observed: [] }),
    };
    await alice.say(room, 'good');
    await server.register('ghost');
    await watching.until(({ rulings }) => rulings?.some(({ verdict }) => verdict === 'shadow_banned'));
    t.match(
      watching.all('rulings').find(({ verdict }) => verdict === 'replaced'),
      { module: 'a', callback: 'checkEventAllowed' },
    );
  });

  await t.test('a cell that is lost, and its return', async (t) => {
    fake.emit('cell', { module: 'b', state: 'restarting', cause: 'no sign of life' });
    const lost = await watching.until(({ incidents }) => incidents?.length);
    t.match(lost.incidents, [{ cause: 'no sign of life', lost: ['b'], waiting: ['b'], undisturbed: 2 }]);
    t.equal(lost.incidents?.[0]?.hull, undefined);
    t.ok(lost.modules, 'and how the modules are, at once');
    fake.emit('cell', { module: 'b', state: 'running', cause: 'set up' });
    const back = await watching.until(({ incidents }) =>
      incidents?.some(({ waiting }) => !(waiting as string[]).length),
    );
    t.ok((back.incidents?.[0]?.backMs as number) > 0);
  });

  await t.test('a cell that is gone for good is waited for no more', async () => {
    for (const state of ['restarting', 'stopped', 'restarting'] as const) {
      fake.emit('cell', { module: 'b', state, cause: `${state} at last` });
      await delay(150);
    }
    const told = watching.all('incidents').filter(({ cause }) => cause === 'restarting at last');
    t.equal(new Set(told.map(({ id }) => id)).size, 2, 'the next loss is another incident');
    fake.emit('cell', { module: 'b', state: 'running', cause: 'set up' });
    await delay(150);
  });

  await t.test('a hull that ends, and all who lived there', async (t) => {
    const hull = { pid: 7, cause: 'SIGABRT', modules: ['a'], known: true };
    for (const module of ['a', 'c']) fake.emit('cell', { module, state: 'restarting', cause: 'its hull ended' });
    fake.emit('hull', hull);
    const ended = await watching.until(({ incidents }) => incidents?.some(({ hull }) => hull));
    t.match(ended.incidents, [
      { cause: 'SIGABRT', hull: { pid: 7, culprits: ['a'], known: true }, lost: ['a', 'c'], undisturbed: 1 },
    ]);
    fake.emit('cell', { module: 'c', state: 'running', cause: 'set up' });
    await watching.until(({ incidents }) => incidents?.some(({ hull, waiting }) => hull && String(waiting) === 'a'));
    fake.emit('cell', { module: 'a', state: 'running', cause: 'set up' });
    await watching.until(({ incidents }) => incidents?.some(({ hull, waiting }) => hull && String(waiting) === ''));
  });

  await t.test('what the watchdog does', async (t) => {
    const seen = { module: 'c', limit: 'memory', action: 'ended', used: 9, allowed: 5 } as const;
    fake.emit('watch', seen);
    t.strictSame((await watching.until(({ watches }) => watches?.length)).watches, [seen]);
  });
});

t.test('it does not become a burden', async (t) => {
  const server = await startServer(t);
  const { fake, url } = server;
  const alice = await server.register('alice');
  const room = await alice.createRoom({});

  await t.test('while nobody watches, nothing is listened to', async (t) => {
    t.equal(fake.listeners, 0);
    const watching = await Watching.start(t, server);
    t.equal(fake.listeners, 4);
    const second = await Watching.start(t, server);
    t.equal(fake.listeners, 4, 'one pair of ears for all');
    await watching.leave();
    await delay(50);
    t.equal(fake.listeners, 4);
    await second.leave();
    await eventually(() => fake.listeners === 0);
  });

  await t.test('a hundred thousand calls are one line', async (t) => {
    const watching = await Watching.start(t, server);
    for (let i = 0; i < 100_000; i++) {
      fake.emit('call', { module: 'a', callback: 'isUserExpired', result: 'allow', durationMs: i % 7 });
    }
    const { asked } = await watching.until((report) => report.asked?.length);
    t.match(asked, [{ count: 100_000, slowestMs: 6 }]);
  });

  await t.test('of many refusals some are shown, the others counted', async (t) => {
    const watching = await Watching.start(t, server);
    fake.answers = { checkEventForSpam: () => refused() };
    await Promise.allSettled(Array.from({ length: 200 }, () => alice.say(room, 'x')));
    fake.answers = {};
    const shownAndCounted = () =>
      watching.all('rulings').length + watching.reports.reduce((sum, { omitted }) => sum + omitted, 0);
    await eventually(() => shownAndCounted() === 200);
    for (const { rulings } of watching.reports) t.ok((rulings?.length ?? 0) <= 20);

    for (let i = 0; i < 1_000; i++) {
      fake.emit('watch', { module: 'a', limit: 'cpu', action: 'slowed', used: 1, allowed: 1 });
    }
    const { watches, omitted } = await watching.until((report) => report.watches?.length);
    t.same([watches?.length, omitted], [20, 980]);
  });

  await t.test('who does not read costs no more than some reports', async (t) => {
    const { port } = new URL(url);
    // Never read from: what the socket does not take stays with the homeserver.
    const asking = request({ port, host: '127.0.0.1', path: FEED });
    asking.end();
    const answer = await new Promise<import('node:http').IncomingMessage>((resolve) => asking.on('response', resolve));
    answer.pause();
    const long = 'x'.repeat(1 << 20);
    for (let i = 0; i < 50; i++) {
      fake.emit('watch', { module: long, limit: 'cpu', action: 'slowed', used: 1, allowed: 1 });
      await delay(110);
    }
    let text = '';
    answer.on('data', (chunk) => {
      text += chunk;
    });
    answer.resume();
    const omitted = () => [...text.matchAll(/"omitted":(\d+)/g)].reduce((sum, [, number]) => sum + Number(number), 0);
    await eventually(() => omitted() > 0);
    t.ok(omitted() > 5, `${omitted()} reports were let go of`);
    answer.destroy();
    await eventually(() => fake.listeners === 0);
  });

  await t.test('so many may watch, and no more', async (t) => {
    const all = await Promise.all(Array.from({ length: 50 }, () => Watching.start(t, server)));
    const answer = await fetch(url + FEED);
    t.match([answer.status, await answer.json()], [429, { errcode: 'M_LIMIT_EXCEEDED' }]);
    await all[0]?.leave();
    // The place is free as soon as the homeserver has noticed.
    while ((await get(url, FEED)).status === 429) await delay(20);
  });

  await t.test('the homeserver does not wait for watchers when it closes', async (t) => {
    const other = await startServer(t);
    const watching = await Watching.start(t, other);
    const startedAt = performance.now();
    await other.close();
    await watching.over;
    t.ok(performance.now() - startedAt < 1_500);
    t.equal(other.fake.listeners, 0);
  });
});
