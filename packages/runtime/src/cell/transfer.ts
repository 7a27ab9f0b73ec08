// ArrayBuffer.prototype.transfer for Node 20, which byte streams need. To be imported before SES: that takes what is there
// for good, and what it would put in its place only throws.

const { prototype } = ArrayBuffer;
const { apply } = Reflect;
const lengthOf = Object.getOwnPropertyDescriptor(prototype, 'byteLength')?.get as () => number;
const clone = globalThis.structuredClone;

if (!('transfer' in prototype)) {
  const { transfer } = {
    transfer(this: ArrayBuffer, newLength?: number): ArrayBuffer {
      // The getter throws for all but genuine buffers: anything else could tell `clone` what to do.
      const length = apply(lengthOf, this, []);
      const moved = clone(this, { transfer: [this] });
      if (newLength === undefined || newLength === length) return moved;
      const resized = new Uint8Array(newLength);
      resized.set(new Uint8Array(moved, 0, Math.min(length, newLength)));
      return resized.buffer;
    },
  };
  Object.defineProperty(prototype, 'transfer', {
    value: transfer,
    writable: true,
    enumerable: false,
    configurable: true,
  });
}
