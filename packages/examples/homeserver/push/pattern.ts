// Patterns of push rules: `*` stands for any sequence of characters and `?` for any one, whatever the case.

/** The whole of a property. */
export const matchesWhole = (pattern: string, text: string): boolean =>
  matches(pattern.toLowerCase(), text.toLowerCase(), { start: (at) => at === 0, end: (at) => at === text.length });

/** A part of a body that begins and ends where words do. */
export function matchesWords(pattern: string, text: string): boolean {
  const lower = text.toLowerCase();
  const isWord = (at: number) => /[a-z0-9_]/.test(lower[at] ?? '');
  // The specification's word boundary lies beside any character that is none of these, whatever is on the other side.
  const edge = (at: number) => !isWord(at - 1) || !isWord(at);
  return matches(pattern.toLowerCase(), lower, { start: edge, end: edge });
}

/**
 * Follows all ways through the pattern at once, in time proportional to the product of the lengths: users write the
 * patterns, and other users the text.
 */
function matches(pattern: string, text: string, may: Record<'start' | 'end', (at: number) => boolean>): boolean {
  let ways = new Set<number>();
  for (let at = 0; ; at++) {
    if (may.start(at)) ways.add(0);
    for (const way of ways) if (pattern[way] === '*') ways.add(way + 1);
    if (may.end(at) && ways.has(pattern.length)) return true;
    if (at === text.length) return false;
    const next = new Set<number>();
    for (const way of ways) {
      if (pattern[way] === '*') next.add(way);
      else if (pattern[way] === '?' || pattern[way] === text[at]) next.add(way + 1);
    }
    ways = next;
  }
}
