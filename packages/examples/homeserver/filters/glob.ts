// Patterns with `*` for any sequence of characters.

/** In time proportional to the product of the lengths: a regular expression of many stars could take for ever. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    if (pattern[next] === '*') {
      star = next++;
      mark = at;
    } else if (next < pattern.length && pattern[next] === text[at]) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[next] === '*') next++;
  return next === pattern.length;
}
