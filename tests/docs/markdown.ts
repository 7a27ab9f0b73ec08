// The fenced blocks of a page, with the words after their language.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');

export interface Block {
  readonly language: string;
  /** The words after the language; those of the form `name=value` have a value. */
  readonly words: ReadonlyMap<string, string>;
  readonly text: string;
  /** Where it begins in the page, from 1. */
  readonly line: number;
}

export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  /** A name for folders. */
  readonly slug: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

export function readPages(): readonly Page[] {
  const packages = ['sdk', 'runtime', 'examples/homeserver'].map((name) => `packages/${name}/README.md`);
  const files = ['README.md', ...packages, ...markdownIn('docs')];
  return files.map((path) => readPage(path));
}

export function readPage(path: string): Page {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, slug: path.toLowerCase().replace(/\.md$/, '').replaceAll('/', '-'), text, blocks: blocksOf(text) };
}

function markdownIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `${folder}/${file}`)
    .sort();
}

function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { info: string; line: number; lines: string[] } | undefined;
  text.split('\n').forEach((line, index) => {
    const fence = /^```(.*)$/.exec(line);
    if (open === undefined) {
      if (fence !== null) open = { info: fence[1] ?? '', line: index + 1, lines: [] };
    } else if (line === '```') {
      blocks.push(toBlock(open.info, open.lines, open.line));
      open = undefined;
    } else {
      open.lines.push(line);
    }
  });
  if (open !== undefined) throw new Error(`the block in line ${open.line} is not closed`);
  return blocks;
}

function toBlock(info: string, lines: readonly string[], line: number): Block {
  const [language = '', ...words] = info.trim().split(/\s+/);
  const pairs = words.map((word): [string, string] => {
    const equals = word.indexOf('=');
    return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)];
  });
  return { language, words: new Map(pairs), text: `${lines.join('\n')}\n`, line };
}
