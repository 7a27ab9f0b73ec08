// Paths, spelt in every way: none that some parser or router takes to a reserved path can be registered, and no request that
// the embedder's own routes would claim goes to a module.

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Hono } from 'hono';
import t from 'tap';
import { coversPath, plainPath, reservedPath, USUAL_PATHS } from '../../packages/runtime/src/api/paths.ts';
import { createRoutes, findRoute, type WebModule } from '../../packages/runtime/src/web/routes.ts';
import { holds, RUNS } from './harness.ts';

const OWN = ['/login', '/_synapse/client/own'];
const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin', ...OWN];

const names = [
  '_matrix',
  '.well-known',
  'matrix',
  '_synapse',
  'admin',
  'client',
  'own',
  'login',
  'a',
  'b',
  'é',
  '%',
  ';x',
];
const separators = ['/', '/', '/', '/', '//', '\\', '%2f', '%2F', '%5c', '%252f', '%255C', '/./', '/../', '/%2e%2e/'];
const parts = [
  '',
  '.',
  '..',
  '%2e',
  '.%2E',
  '%252e%252e',
  '%ff',
  '%c0%af',
  '%00',
  '\t',
  ' ',
  '?',
  '#',
  '/..',
  '%2f..',
  '..;',
  '%3f',
  '.%09.',
  '%20',
  '%',
];

/** Letters of a name in other cases or percent-encoded, up to twice. */
const disguised = fc
  .tuple(fc.constantFrom(...names), fc.nat(20), fc.constantFrom('', '', '', 'upper', 'once', 'twice', 'small'))
  .map(([name, at, how]) => {
    const index = at % name.length;
    const code = (name.codePointAt(index) as number) & 0x7f;
    const hex = code.toString(16).padStart(2, '0');
    const letters: Readonly<Record<string, string>> = {
      upper: name.charAt(index).toUpperCase(),
      once: `%${hex}`,
      twice: `%25${hex}`,
      small: `%${hex.toUpperCase()}`,
    };
    const letter = letters[how];
    return letter === undefined || name.charCodeAt(index) > 0x7f
      ? name
      : name.slice(0, index) + letter + name.slice(index + 1);
  });
const step = fc
  .tuple(
    fc.constantFrom(...separators),
    fc.oneof({ weight: 4, arbitrary: disguised }, { weight: 1, arbitrary: fc.constantFrom(...parts) }),
  )
  .map(([separator, name]) => separator + name);
/** Often near to what is reserved, or to what a module has. */
const start = fc.constantFrom(
  '',
  '',
  '/_synapse/client',
  '/_synapse/client/a',
  '/_matrix',
  '/%5fmatrix',
  '/login',
  '/x/..',
);
const path = fc
  .tuple(start, fc.array(step, { minLength: 1, maxLength: 5 }))
  .map(([first, steps]) => first + steps.join(''))
  .map((text) => (text.startsWith('/') ? text : `/${text}`));

/** What those who parse and route do to a path, one thing each; nothing of it is ours. */
const habits: readonly ((path: string) => string)[] = [
  (path) => new URL(`http://h${path}`).pathname,
  (path) => Buffer.from(unescape(unescape(encodeURIComponent(path))), 'latin1').toString(),
  (path) => path.replace(/\/+/g, '/'),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/;[^/]*/g, ''),
];
/** At most so many in a row, in any order. */
const HABITS = 3;

/** Everything that a path may have become when it comes to a route. */
function deliveries(path: string): ReadonlySet<string> {
  const all = new Set([path]);
  let last = [path];
  for (let turn = 0; turn < HABITS; turn++) {
    const next = last.flatMap((each) => habits.map((habit) => habit(each))).filter((each) => !all.has(each));
    last = [...new Set(next)];
    for (const each of last) all.add(each);
  }
  return all;
}

const below = (path: string, base: string): boolean => path === base || path.startsWith(`${base}/`);
/** No router gets a path before these are out of it. */
const hasDots = (path: string): boolean => /(^|[/\\])(\.|%2e){1,2}([/\\]|$)/i.test(path);
/** Some routers do not care for case. */
const isClaimed = (path: string, routes: readonly string[]): boolean =>
  [...deliveries(path)].some((each) => !hasDots(each) && routes.some((route) => below(each.toLowerCase(), route)));

/** At or below `/_synapse/client` to who decodes its segments. */
const isUsual = (path: string): boolean =>
  /^\/+_synapse\/+client(\/|$)/.test(
    path
      .split(/[/\\]/)
      .map((each) => unescape(each))
      .join('/'),
  );

const isPlain = (path: string): boolean => /^(\/[a-z_]+)+$/.test(path);

/** Whether a module cannot have it. */
function isRefused(path: string): boolean {
  const plain = plainPath(path);
  return plain === undefined || reservedPath(plain, OWN) !== undefined;
}

t.test('what was once found', async (t) => {
  // Empty segments go, it is decoded, then dot segments go and take the empty ones that have come.
  t.ok(isRefused('/x/..%2f;x//../_matrix/%2f../a'));
  // It is decoded, slashes become one but backslashes do not, and only then is a backslash a slash.
  t.ok(isRefused('/_synapse/client/a\\%2f../%2f../%2e%2e/admin/_matrix'));
});

t.test('what is taken to a reserved path by anybody cannot be registered', async (t) => {
  const property = fc.property(path, (path) => {
    const refused = isRefused(path);
    if (isClaimed(path, RESERVED)) assert.equal(refused, true, 'reserved');
    if (coversPath(USUAL_PATHS, path)) {
      const outside = [...deliveries(path)].find((each) => !hasDots(each) && !isUsual(each));
      assert.equal(outside, undefined, 'what every module may answer lies below /_synapse/client');
    }
    // Nor what contains a reserved path; of plain ones nothing else is refused.
    if (isPlain(path))
      assert.equal(
        refused,
        RESERVED.some((each) => below(path, each) || below(each, path)),
      );
  });
  await holds(t, property, { numRuns: RUNS / 2 });
});

const RESOURCES = [
  '/_synapse/client',
  '/_synapse/client/a',
  '/_synapse/client/a/b',
  '/a',
  '/é',
  '/100%25',
  '/.well-known/x',
];

function modulesWith(resources: readonly string[]): readonly WebModule[] {
  return resources.map((resource) => ({
    entry: { id: resource },
    life: undefined,
    registered: { resources: [resource] },
    doubt() {},
  })) as unknown as readonly WebModule[];
}

t.test('what the embedder claims does not go to a module', async (t) => {
  const own = ['/login', '/_matrix'];
  // Without the reserved paths of the embedder, so that only the reading of the request protects them.
  const routes = createRoutes(modulesWith(RESOURCES), () => {});
  t.equal(routes.length, RESOURCES.length);
  const app = new Hono();
  for (const route of own) app.all(`${route}/*`, (c) => c.text('own'));
  let served = 0;
  const property = fc.asyncProperty(path, async (path) => {
    const url = new URL(`http://localhost${path}`);
    const route = findRoute(routes, url);
    if (isPlain(path)) {
      const longest = RESOURCES.filter((each) => below(path, each)).sort((a, b) => b.length - a.length)[0];
      assert.equal(route?.module.entry.id, longest);
    }
    if (route === undefined) return;
    served++;
    assert.equal(isClaimed(url.pathname, own), false, 'claimed');
    const response = await app.fetch(new Request(url));
    assert.equal(response.status, 404, 'claimed by a router');
  });
  await holds(t, property, { numRuns: RUNS / 2 });
  t.ok(served > 0, 'some of them are served');
});
