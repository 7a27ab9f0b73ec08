// Word lists compiled into one regular expression, which runs over folded text.

export interface WordList {
  readonly words: readonly string[];
  /** Match inside longer words too, as scripts that are written without spaces need it. */
  readonly anywhere: boolean;
}

/** Compiles the lists once. The function says which list a text hits first, if any. */
export function compileLists<List extends WordList>(lists: readonly List[]): (text: string) => List | undefined {
  const listOf = new Map<string, List>();
  const sources = lists.map((list) => {
    const folded = list.words.map(fold);
    for (const word of folded) if (!listOf.has(word)) listOf.set(word, list);
    const anyWord = `(?:${folded.map(literally).join('|')})`;
    return list.anywhere ? anyWord : `(?<![\\p{L}\\p{N}])${anyWord}(?![\\p{L}\\p{N}])`;
  });
  const pattern = new RegExp(sources.join('|'), 'u');

  return (text) => {
    const [word] = pattern.exec(fold(text)) ?? [];
    return word === undefined ? undefined : listOf.get(word);
  };
}

/**
 * Makes spellings equal that look alike: compatibility forms (full width, mathematical bold), accents, invisible
 * characters, case, and runs of white space. Upper case, because it joins what lower case keeps apart: ß and ss, σ and ς.
 */
export function fold(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[\u0300-\u036f\p{Cf}]/gu, '')
    .toUpperCase()
    .normalize('NFC')
    .replace(/\s+/gu, ' ')
    .trim();
}

const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
