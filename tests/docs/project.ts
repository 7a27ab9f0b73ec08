// A page as a folder in which its snippets can be checked and run. It lies within the tests, so that packages are found.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Block, type Page, root } from './markdown.ts';

const scratch = join(root, 'tests/.scratch');

/** An empty folder of that name. */
export function emptyFolder(name: string): string {
  const folder = join(scratch, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

export function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

export const isCode = ({ language }: Block): boolean => language === 'ts' || language === 'js';

/** The file that a block of code is, in its page's folder. */
export const fileOf = ({ words, language, line }: Block): string =>
  words.get('file') ?? `snippet-in-line-${line}.${language}`;

/** Writes the files that the page names. */
export function writeFiles(folder: string, { blocks }: Page, replace: (text: string) => string = (text) => text): void {
  for (const block of blocks) {
    if (block.words.has('file')) write(join(folder, fileOf(block)), replace(block.text));
  }
}
