// Which paths of the web a module may answer. Paths are compared after percent-decoding and removal of dot segments, so that
// no spelling of one gets past a comparison.

/** What belongs to the homeserver, whatever is granted. */
const RESERVED = ['/_matrix', '/.well-known/matrix', '/_synapse/admin'];

/** What every module may answer unless the admin says otherwise: where Synapse's modules have their resources. */
export const USUAL_PATHS: readonly string[] = ['/_synapse/client/*'];

/** Which path a module may not register, if any. */
export function reservedPath(path: string, reservedPaths: readonly string[] = []): string | undefined {
  const wanted = comparable(path);
  return [...RESERVED, ...reservedPaths].find((reserved) => {
    const other = comparable(withoutStar(reserved));
    return isBelow(wanted, other) || isBelow(other, wanted);
  });
}

/**
 * Whether granted paths cover one: `/a` is that path and everything below it, `/a/*` what is below it alone.
 * @param path a path, or such a pattern
 */
export function coversPath(grants: readonly string[], path: string): boolean {
  const wanted = comparable(withoutStar(path));
  return grants.some((grant) => {
    const granted = comparable(withoutStar(grant));
    if (!isBelow(wanted, granted)) return false;
    return wanted !== granted || !hasStar(grant) || hasStar(path);
  });
}

/** Whether it is a path that can be granted: none that is the homeserver's in any case. */
export function isGrantablePath(text: string): boolean {
  if (!/^\/\P{Cc}{0,999}$/u.test(text)) return false;
  const path = comparable(withoutStar(text));
  return !RESERVED.some((reserved) => isBelow(path, reserved));
}

/** Whether these are the paths that every module is given. */
export const isUsual = (grants: readonly string[]): boolean =>
  grants.length === USUAL_PATHS.length && grants.every((grant, index) => grant === USUAL_PATHS[index]);

export const isBelow = (path: string, base: string): boolean =>
  path === base || path.startsWith(base === '/' ? base : `${base}/`);

/** A path as all its spellings have it in common. */
export function comparable(path: string): string {
  let decoded = path;
  try {
    decoded = decodeURIComponent(path);
  } catch {
    // Not valid percent-encoding: compared as it is.
  }
  const segments: string[] = [];
  for (const segment of decoded.replaceAll('\\', '/').split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  return `/${segments.join('/')}`;
}

const hasStar = (pattern: string): boolean => pattern.endsWith('/*');
const withoutStar = (pattern: string): string => (hasStar(pattern) ? pattern.slice(0, -2) : pattern);
