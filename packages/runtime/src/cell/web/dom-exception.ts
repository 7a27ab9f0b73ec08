// DOMException. An Error by its making, so that it is treated as one (its stack too), with what the standard adds.

const NAMES = [
  ['IndexSizeError', 1],
  ['HierarchyRequestError', 3],
  ['WrongDocumentError', 4],
  ['InvalidCharacterError', 5],
  ['NoModificationAllowedError', 7],
  ['NotFoundError', 8],
  ['NotSupportedError', 9],
  ['InUseAttributeError', 10],
  ['InvalidStateError', 11],
  ['SyntaxError', 12],
  ['InvalidModificationError', 13],
  ['NamespaceError', 14],
  ['InvalidAccessError', 15],
  ['TypeMismatchError', 17],
  ['SecurityError', 18],
  ['NetworkError', 19],
  ['AbortError', 20],
  ['URLMismatchError', 21],
  ['QuotaExceededError', 22],
  ['TimeoutError', 23],
  ['InvalidNodeTypeError', 24],
  ['DataCloneError', 25],
] as const;

const codes = new Map<string, number>(NAMES);
const names = new WeakMap<object, string>();

// Not `extends Error`: the class would lead to the constructor that V8 made, which shows call sites to who asks.
export class DOMException {
  declare readonly message: string;

  constructor(message: string = '', name: string = 'Error') {
    const error = new Error(`${message}`);
    Object.setPrototypeOf(error, new.target.prototype);
    names.set(error, `${name}`);
    // biome-ignore lint/correctness/noConstructorReturn: only Error makes errors
    return error as unknown as this;
  }

  get name(): string {
    return nameOf(this);
  }
  get code(): number {
    return codes.get(nameOf(this)) ?? 0;
  }
  get [Symbol.toStringTag](): string {
    return 'DOMException';
  }
}
Object.setPrototypeOf(DOMException.prototype, Error.prototype);
for (const [name, code] of NAMES) {
  // The constants of old: AbortError is ABORT_ERR.
  const constant = `${name
    .replace(/Error$/, '')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toUpperCase()}_ERR`;
  for (const owner of [DOMException, DOMException.prototype]) {
    Object.defineProperty(owner, constant, { value: code, enumerable: true });
  }
}

export const isDOMException = (value: object): value is DOMException => names.has(value);

function nameOf(exception: object): string {
  const name = names.get(exception);
  if (name === undefined) throw new TypeError('Illegal invocation');
  return name;
}
