// Positions in a bundle's script -> positions in the files that it was made from.

import { SourceMap, type SourceMapPayload } from 'node:module';
import type { Bundle } from './bundle.js';

/** A stack's text with the script's positions replaced by those in the author's files. */
export function mapStack(stack: string, bundle: Pick<Bundle, 'sourceMap' | 'sourceUrl'>): string {
  const url = bundle.sourceUrl.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return stack.replace(new RegExp(`${url}:(\\d+):(\\d+)`, 'g'), (text, line: string, column: string) => {
    const origin = originalPosition(bundle.sourceMap, Number(line), Number(column));
    return origin ? `${origin.file}:${origin.line}:${origin.column}` : text;
  });
}

/** Line and column count from 1. */
export interface OriginalPosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** `undefined` for what nobody wrote, such as the bundler's helpers. */
export function originalPosition(sourceMap: string, line: number, column: number): OriginalPosition | undefined {
  const map = parsed(sourceMap);
  const entry = map.findEntry(line - 1, column - 1);
  if (!('originalSource' in entry) || !entry.originalSource) return undefined;
  return { file: entry.originalSource, line: entry.originalLine + 1, column: entry.originalColumn + 1 };
}

// Stacks come in bursts from one module, so the map that was parsed last is kept.
let last: { readonly text: string; readonly map: SourceMap } | undefined;

function parsed(text: string): SourceMap {
  if (last?.text !== text) last = { text, map: new SourceMap(JSON.parse(text) as SourceMapPayload) };
  return last.map;
}
