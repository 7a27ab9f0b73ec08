// Which paths of the web a module may answer. What is refused is refused in every reading of a path that a router or a proxy
// may have, so that no spelling of one gets past a comparison.

/** What belongs to the homeserver, whatever is granted. */
const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin'];

/** What every module may answer unless the admin says otherwise: where Synapse's modules have their resources. */
export const USUAL_PATHS: readonly string[] = ['/_synapse/client/*'];

/** Which path a module may not register, if any. */
export function reservedPath(path: string, reservedPaths: readonly string[] = []): string | undefined {
  const wanted = readingsOfWritten(path).map(caseless);
  return [...RESERVED, ...reservedPaths].find((reserved) => {
    const other = caseless(comparable(withoutStar(reserved)));
    return wanted.some((reading) => isBelow(reading, other) || isBelow(other, reading));
  });
}

/**
 * Whether granted paths cover one: `/a` is that path and everything below it, `/a/*` what is below it alone.
 * @param path a path, or such a pattern
 */
export function coversPath(grants: readonly string[], path: string): boolean {
  const covers = (grant: string, wanted: string): boolean => {
    const granted = comparable(withoutStar(grant));
    if (!isBelow(wanted, granted)) return false;
    return wanted !== granted || !hasStar(grant) || hasStar(path);
  };
  return readingsOfWritten(withoutStar(path)).every((reading) => grants.some((grant) => covers(grant, reading)));
}

/** Whether it is a path that can be granted: none that is the homeserver's in any case. */
export function isGrantablePath(text: string): boolean {
  if (!/^\/\P{Cc}{0,999}$/u.test(text)) return false;
  const paths = readingsOfWritten(withoutStar(text)).map(caseless);
  return !RESERVED.some((reserved) => paths.some((path) => isBelow(path, reserved)));
}

/** Whether these are the paths that every module is given. */
export const isUsual = (grants: readonly string[]): boolean =>
  grants.length === USUAL_PATHS.length && grants.every((grant, index) => grant === USUAL_PATHS[index]);

export const isBelow = (path: string, base: string): boolean =>
  path === base || path.startsWith(base === '/' ? base : `${base}/`);

/** A path as a router by segments has it: what is percent-encoded in one, a slash too, is a part of that one. */
export const comparable = (path: string): string =>
  joined(withoutDots(segmentsOf(path)).map((each) => decoded(each).replace(/[/\\]/g, encodeURIComponent)));

/** Routers decode a path before they cut it into segments or afterwards, proxies before them once more. */
const MOST_DECODINGS = 2;

/** What routers and proxies may make of a path: each removes dot segments and empty ones, or does not, and then decodes. */
export function readings(path: string): readonly string[] {
  const found = new Set<string>();
  let texts = new Set([path]);
  for (let round = 0; round <= MOST_DECODINGS; round++) {
    for (const text of texts) {
      const segments = segmentsOf(text);
      const filled = segments.filter((segment) => segment !== '');
      for (const kept of [filled, withoutDots(segments), withoutDots(filled)]) texts.add(kept.join('/'));
    }
    for (const text of texts) found.add(comparable(text));
    texts = new Set([...texts].map(decoded));
  }
  return [...found];
}

/** A URL's parser leaves out tabs and ends of lines, and what follows a path is not of it. */
function readingsOfWritten(path: string): readonly string[] {
  const pathname = path
    .replace(/[\t\n\r]/g, '')
    .replace(/[?#].*$/s, '')
    .trimEnd();
  return [...readings(path), ...readings(pathname)];
}

/** Some routers do not care for case. */
const caseless = (path: string): string => path.toLowerCase();

const segmentsOf = (path: string): readonly string[] => path.split(/[/\\]/);
const joined = (segments: readonly string[]): string => `/${segments.filter((segment) => segment !== '').join('/')}`;

/** As a URL's parser does it, to which `%2e` is a dot. */
function withoutDots(segments: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (const segment of segments) {
    const text = segment.replace(/%2e/gi, '.');
    if (text === '..') kept.pop();
    else if (text !== '.') kept.push(segment);
  }
  return kept;
}

/** Percent-decodes what can be. */
const decoded = (text: string): string =>
  text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      // No UTF-8; a router may decode the rest of it nevertheless.
      return run.replace(/%[0-7][0-9a-f]/gi, decodeURIComponent);
    }
  });

const hasStar = (pattern: string): boolean => pattern.endsWith('/*');
const withoutStar = (pattern: string): string => (hasStar(pattern) ? pattern.slice(0, -2) : pattern);
