// JSON from a cell. Depth is bounded by a scan before the parse: a megabyte of "[[[[" takes 100 ms to parse, and code that
// walks the result afterwards may recurse.

const DEEPEST = 100;
/** A text of so many characters opens no more levels than it has room to close. */
const SHALLOW = 2 * DEEPEST;

export class TooDeep extends Error {
  override readonly name = 'TooDeep';
  readonly code = 'TooDeep';
}

/** @throws TooDeep, SyntaxError */
export function parseHostile(text: string): unknown {
  if (text.length > SHALLOW && depthExceeds(text, DEEPEST))
    throw new TooDeep(`JSON that is more than ${DEEPEST} levels deep`);
  return JSON.parse(text, maySpellProto(text) ? withoutProto : undefined);
}

/** The name as it is, or with an escaped underscore in it. */
const maySpellProto = (text: string): boolean => text.includes('__proto__') || text.includes('\\u005');

/** An own key `__proto__` is harmless until somebody copies the object by assignment. */
function withoutProto(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}

function depthExceeds(text: string, limit: number): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    switch (text.charCodeAt(index)) {
      case 0x22:
        index = endOfString(text, index);
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > limit) return true;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
    }
  }
  return false;
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}
