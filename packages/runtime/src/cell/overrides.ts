// The override mistake: once a prototype is frozen, `instance.name = x` fails for every name that the prototype has. Node's
// own classes assign like that, and so do modules' subclasses.

const { defineProperty, getOwnPropertyDescriptor, hasOwn } = Object;
const { ownKeys } = Reflect;

/** Turns the data properties of the prototypes among the objects into accessors that let instances have their own. */
export function enableOverrides(objects: Iterable<object>): void {
  for (const object of objects) {
    if (!hasOwn(object, 'constructor')) continue;
    for (const key of ownKeys(object)) enableOverride(object, key);
  }
}

function enableOverride(owner: object, key: PropertyKey): void {
  const descriptor = getOwnPropertyDescriptor(owner, key);
  if (descriptor === undefined || !('value' in descriptor) || !descriptor.configurable) return;
  const { value, enumerable = false } = descriptor;
  const accessor = {
    get(): unknown {
      return value;
    },
    set(this: object, own: unknown): void {
      if (this === owner) throw new TypeError(`Cannot assign to ${String(key)} of a shared prototype`);
      if (hasOwn(this, key)) Reflect.set(this, key, own);
      else defineProperty(this, key, { value: own, writable: true, enumerable: true, configurable: true });
    },
  };
  // SES's `harden` does not call getters; this is where it looks for what they give.
  defineProperty(accessor.get, 'originalValue', { value });
  for (const part of [accessor.get, accessor.set]) Object.freeze(part);
  defineProperty(owner, key, { ...accessor, enumerable, configurable: true });
}
