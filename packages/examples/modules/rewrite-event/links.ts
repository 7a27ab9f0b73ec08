// Links in text, plain or HTML. They are changed as text, not through URL, so that all the rest stays as it was written.

/** Up to white space or a delimiter; punctuation at the end belongs to the sentence. */
const LINK = /\bhttps?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]]/giu;
const PARTS = /^([^?#]*)\?([^#]*)(#.*)?$/su;
/** Behind each separator, which HTML writes as `&amp;`. */
const BETWEEN_PARAMETERS = /(?<=&amp;|&(?!amp;))/u;

/**
 * Makes the function that takes the named query parameters out of every link in a text.
 * @param parameters names; a `*` at the end stands for all that begin so
 */
export function compileCleaner(parameters: readonly string[]): (text: string) => string {
  const exact = new Set(parameters.filter((name) => !name.endsWith('*')));
  const prefixes = parameters.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));

  function isTracking(parameter: string): boolean {
    const [name = ''] = parameter.split(/[=&]/u, 1);
    return exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
  }

  function cleanLink(link: string): string {
    const [, page, query, fragment = ''] = PARTS.exec(link) ?? [];
    if (query === undefined) return link;
    const all = query.split(BETWEEN_PARAMETERS);
    const kept = all.filter((parameter) => !isTracking(parameter));
    if (kept.length === all.length) return link;
    const rest = kept.join('').replace(/&(?:amp;)?$/u, '');
    return `${page}${rest && `?${rest}`}${fragment}`;
  }

  return (text) => text.replace(LINK, cleanLink);
}
