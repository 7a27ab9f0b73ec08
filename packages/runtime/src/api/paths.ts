// Which paths of the web a module may answer. Routers and proxies decode a path, cut it and clean it in orders of their own; a
// module's path is one that all of them read alike, and a request that they may read differently is nobody's.

/** What belongs to the homeserver, whatever is granted. */
const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin'];

/** What every module may answer unless the admin says otherwise: where Synapse's modules have their resources. */
export const USUAL_PATHS: readonly string[] = ['/_synapse/client/*'];

/** The reserved path that a plain one lies in, or contains, if any. */
export function reservedPath(plain: string, reservedPaths: readonly string[] = []): string | undefined {
  return [...RESERVED, ...reservedPaths].find((reserved) => overlap(plain, reserved));
}

/**
 * Whether granted paths cover one: `/a` is that path and everything below it, `/a/*` what is below it alone.
 * @param path a path, or such a pattern; none that is not plain is covered
 */
export function coversPath(grants: readonly string[], path: string): boolean {
  const wanted = plainPath(withoutStar(path));
  return (
    wanted !== undefined &&
    grants.some((grant) => {
      const granted = plainPath(withoutStar(grant));
      if (granted === undefined || !isBelow(wanted, granted)) return false;
      return wanted !== granted || !hasStar(grant) || hasStar(path);
    })
  );
}

/** Whether it is a path that can be granted: none that is the homeserver's in any case. */
export function isGrantablePath(text: string): boolean {
  const plain = text.length > 1000 ? undefined : plainPath(withoutStar(text));
  return plain !== undefined && !RESERVED.some((reserved) => isBelow(caseless(plain), reserved));
}

/** Whether these are the paths that every module is given. */
export const isUsual = (grants: readonly string[]): boolean =>
  grants.length === USUAL_PATHS.length && grants.every((grant, index) => grant === USUAL_PATHS[index]);

export const isBelow = (path: string, base: string): boolean =>
  path === base || path.startsWith(base === '/' ? base : `${base}/`);

/** What ends a path or divides it, to a URL's parser or to a server that knows parameters of segments, is not in a name. */
const NAME = /^(?!\.{1,2}$)(?!\s)[^/\\?#;\p{Cc}]+(?<!\s)$/u;

/**
 * A path of names alone, decoded, without a slash at its end; `undefined` for one that is read differently by somebody: with
 * empty or dot segments, encoded twice, or with something encoded that would divide or end it.
 */
export function plainPath(path: string): string | undefined {
  const [first, ...segments] = path.split('/');
  if (segments.at(-1) === '') segments.pop();
  const names = segments.map(decoded);
  return first === '' && path !== '' && names.every((name) => NAME.test(name) && decoded(name) === name)
    ? `/${names.join('/')}`
    : undefined;
}

/** A segment that leads upwards as soon as somebody has decoded it. */
const UPWARDS = /(?:^|[/\\])\.\.(?:[/\\?#;\s]|$)/;

/**
 * A URL's path by its names, for a comparison with plain paths: what is encoded in a segment, a slash too, stays a part of that
 * segment. `undefined` for one that would leave where it seems to lie.
 */
export function requestedPath(pathname: string): string | undefined {
  const segments = pathname.split('/').filter((segment) => segment !== '');
  for (const segment of segments) {
    const name = settled(segment);
    // A URL's parser leaves out tabs and ends of lines.
    if (name === undefined || UPWARDS.test(name.replace(/[\t\n\r]/g, ''))) return undefined;
  }
  return `/${segments.map((segment) => decoded(segment).replace(/[/\\]/g, encodeURIComponent)).join('/')}`;
}

/** More than any chain of proxies and routers decodes. */
const MOST_DECODINGS = 4;

/** Percent-decoded until nothing is left to decode; `undefined` where that takes too long. */
function settled(text: string): string | undefined {
  let last = text;
  for (let round = 0; round <= MOST_DECODINGS; round++) {
    const next = decoded(last);
    if (next === last) return last;
    last = next;
  }
  return undefined;
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

function overlap(plain: string, reserved: string): boolean {
  const path = caseless(plain);
  const other = caseless(requestedPath(withoutStar(reserved)) ?? reserved);
  return isBelow(path, other) || isBelow(other, path);
}

/** Some routers do not care for case. */
const caseless = (path: string): string => path.toLowerCase();

const hasStar = (pattern: string): boolean => pattern.endsWith('/*');
const withoutStar = (pattern: string): string => (hasStar(pattern) ? pattern.slice(0, -1) : pattern);
