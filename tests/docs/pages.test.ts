// The pages as a whole: what is generated is what would be generated, links lead somewhere, and nothing is left out.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { callbackNames, permissionGroups, snakeCase } from '@bulkhead/sdk/contract';
import t from 'tap';
import { readConfig } from '../../packages/runtime/src/config/read.ts';
import { readResults as readHomeserver, render as renderHomeserver } from '../bench/homeserver/page.ts';
import { readResults, render as renderPerformance } from '../bench/page.ts';
import { readPage, readPages, root } from './markdown.ts';
import { formatted, pages as generated } from './reference.ts';

const pages = readPages();

/** Nothing that could be meant by it is near enough to be suggested. */
const UNKNOWN = { ['?'.repeat(40)]: 0 };

t.test('generated pages are up to date', (t) => {
  for (const [path, render] of Object.entries(generated)) {
    t.equal(readFileSync(join(root, path), 'utf8'), formatted(path, render()), `${path}: npm run docs writes it anew`);
  }
  const performance = readFileSync(join(root, 'docs/performance.md'), 'utf8');
  t.equal(performance, renderPerformance(performance, readResults()), 'npm run bench -- --page writes it anew');
  const homeserver = readFileSync(join(root, 'docs/homeserver-performance.md'), 'utf8');
  t.equal(
    homeserver,
    renderHomeserver(homeserver, readHomeserver()),
    'npm run bench:homeserver -- --page writes it anew',
  );
  t.end();
});

t.test('every block says what is to be done with it', (t) => {
  const known: Readonly<Record<string, readonly string[]>> = {
    ts: ['file', 'with', 'run', 'serve'],
    js: ['file', 'with', 'run', 'serve'],
    yaml: ['file', 'check', 'faulty', 'defaults', 'homeserver'],
    console: [],
    sh: [],
    text: [],
    python: [],
  };
  for (const { path, blocks } of pages) {
    for (const { language, words, line } of blocks) {
      const at = `${path}:${line}`;
      t.ok(known[language], `${at}: the language ${language}`);
      for (const word of words.keys()) t.ok(known[language]?.includes(word), `${at}: ${word}`);
      if (words.has('check')) t.ok(words.has('file'), `${at}: what is checked is a file`);
    }
  }
  t.end();
});

t.test('links lead to a file, and to a heading of it', (t) => {
  for (const { path, text } of pages) {
    const prose = text.replace(/^```.*?^```$/gms, '');
    for (const [, target = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const found = file === '' ? join(root, path) : join(root, dirname(path), file);
      t.ok(existsSync(found), `${path}: ${target}`);
      if (anchor !== undefined) t.ok(anchorsOf(readFileSync(found, 'utf8')).includes(anchor), `${path}: ${target}`);
    }
  }
  t.end();
});

/** As GitHub makes them of headings. */
function anchorsOf(text: string): readonly string[] {
  return [...text.replace(/^```.*?^```$/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

t.test('the page for admins has every key', (t) => {
  const { text } = readPage('docs/admins.md');
  const has = (key: string): void => void t.match(text, new RegExp(`^\\| \`${key.replace('.', '\\.')}[\`:]`, 'm'), key);
  keysAt({ bulkhead: UNKNOWN }).forEach(has);
  for (const key of keysAt({ modules: [{ module: 'a', ...UNKNOWN }] })) {
    if (key !== 'limits' && key !== 'breaker') has(key);
  }
  for (const group of ['limits', 'breaker']) {
    for (const key of keysAt({ modules: [{ module: 'a', [group]: UNKNOWN }] })) has(`${group}.${key}`);
  }
  for (const [group, row] of Object.entries(permissionGroups)) {
    if (row.kind === 'access') for (const value of Object.keys(row.values)) t.match(text, `| \`${group}: [${value}]\``);
    else t.match(text, row.kind === 'size' ? `\`limits.${group}\`` : `| \`${group}: [`);
  }
  t.end();
});

/** The keys that the reader names when it finds one that it does not know. */
function keysAt(value: object): readonly string[] {
  const hint = readConfig({ value }).problems.find(({ code }) => code === 'UnknownKey')?.hint ?? '';
  return hint.replace('known here: ', '').split(', ');
}

t.test('the page for homeserver developers has every callback', (t) => {
  const { text } = readPage('docs/embedders.md');
  for (const name of callbackNames) t.match(text, `\`${name}\``);
  t.end();
});

t.test('Synapse’s names in the guide to porting are ours', (t) => {
  const { text } = readPage('docs/porting.md');
  t.match(text, '> [!WARNING]');
  for (const name of ['checkUsernameForSpam', 'checkMediaFileForSpam'] as const) {
    t.ok(callbackNames.includes(name));
    t.match(text, `| \`${name}\``);
    t.match(text, `\`${snakeCase(name)}\``);
  }
  t.end();
});
