// The lines that an error shows: the offending one with its number, and a caret under the place.

const WIDEST = 120;
const LEAD = 40;

export function frame(lineText: string, line: number, column: number): string {
  // A control character in the file must not reach the admin's terminal, where it could rewrite what stands above it, nor one
  // that turns the direction of writing and shows another line than the one that is there.
  const clean = lineText.replace(/\t/g, ' ').replace(/[\p{Cc}\p{Cf}]/gu, '\u{fffd}');
  const from = clean.length > WIDEST ? Math.max(0, Math.min(column - 1 - LEAD, clean.length - WIDEST)) : 0;
  const shown = clean.slice(from, from + WIDEST).trimEnd();
  const gutter = `  ${line} | `;
  return `${gutter}${shown}\n${' '.repeat(gutter.length - 2)}| ${' '.repeat(column - 1 - from)}^`;
}
