// Walks everything that a module can reach from its globals and from instances of every class, with the powers of the
// bootstrap, and tells what should not be there.

const { getOwnPropertyDescriptors, getPrototypeOf, isFrozen } = Object;
const { apply, ownKeys } = Reflect;
/** Taken before lockdown: afterwards it calls everything native. */
const toSource = Function.prototype.toString;

export interface Found {
  readonly path: string;
  readonly problem: string;
}

/** Where each reachable object was found first. */
type Reached = Map<object, string>;

const FORBIDDEN_NAMES = new Set(
  [
    'Timeout Immediate TimersList Socket EventEmitter NodeEventTarget MessagePort MessageChannel Buffer FastBuffer Worker',
    'FileHandle KeyObject KeyObjectHandle SecretKeyObject NativeKeyObject AsyncResource AsyncLocalStorage Converter Gzip',
    'Zlib ZlibBase Listener SafeMap SafeSet SafeWeakRef SafeFinalizationRegistry BlobReader Reader Hash Performance',
  ]
    .join(' ')
    .split(' '),
);

export function reach(roots: Record<string, unknown>): Reached {
  const reached: Reached = new Map();
  const visit = (value: unknown, path: string): void => {
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return;
    if (!reached.has(value)) reached.set(value, path);
  };
  for (const [name, root] of Object.entries(roots)) visit(root, name);
  for (const [object, path] of reached) {
    visit(getPrototypeOf(object), `${path}.[[prototype]]`);
    const descriptors = getOwnPropertyDescriptors(object) as Record<PropertyKey, PropertyDescriptor>;
    for (const key of ownKeys(descriptors)) {
      const { value, get, set } = descriptors[key] as PropertyDescriptor;
      const inner = `${path}.${String(key)}`;
      visit(value, inner);
      visit(get, `${inner} (get)`);
      visit(set, `${inner} (set)`);
      visit((get as { originalValue?: unknown } | undefined)?.originalValue, inner);
    }
  }
  return reached;
}

/**
 * @param language what is reachable from the language alone
 * @param first what is reachable from the globals and one set of instances
 * @param second the same with another set of instances: what is in both is shared by everybody
 */
export function judge(language: Reached, first: Reached, second: Reached, forbidden: Map<unknown, string>): Found[] {
  const found: Found[] = [];
  const prototypes = new Set([...first.keys()].map((object) => getPrototypeOf(object) as object | null));
  for (const [object, path] of first) {
    const tell = (problem: string): void => void found.push({ path, problem });
    const name = forbidden.get(object);
    if (name !== undefined) tell(`is ${name}`);
    if (!isFrozen(object)) {
      if (second.has(object)) tell('is shared and not frozen');
      else if (prototypes.has(object)) tell('is a prototype and not frozen');
    }
    if (typeof object === 'function') {
      if (FORBIDDEN_NAMES.has(object.name)) tell(`is the class ${object.name}`);
      // The functions that V8 makes for promises have no name; those of Node's bindings do.
      if (object.name !== '' && !language.has(object) && isNative(object)) tell(`is native code: ${object.name}`);
    }
    for (const key of ownKeys(object)) {
      if (typeof key !== 'symbol' || Symbol.keyFor(key) === 'harden') continue;
      if (/^(nodejs|messaging_|k[A-Z])/.test(key.description ?? '')) tell(`has ${String(key)}`);
    }
  }
  return found;
}

const isNative = (value: object): boolean => /\[native code\]/.test(apply(toSource, value, []));
