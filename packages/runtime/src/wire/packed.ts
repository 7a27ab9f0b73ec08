// A web response whose body is short and there already: head and body in one record, and no stream.

/** Bodies up to so many bytes, which with their heads fit into what a cell may send in one piece. */
export const MOST_PACKED = 32 * 1024;
const LENGTH_BYTES = 4;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Packed {
  /** JSON. */
  readonly head: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export function pack({ head, bytes }: Packed): Uint8Array {
  const text = encoder.encode(head);
  const packed = new Uint8Array(LENGTH_BYTES + text.length + bytes.length);
  new DataView(packed.buffer).setUint32(0, text.length);
  packed.set(text, LENGTH_BYTES);
  packed.set(bytes, LENGTH_BYTES + text.length);
  return packed;
}

/** @returns copies; `undefined` when it is none */
export function unpack(packed: Uint8Array): Packed | undefined {
  if (packed.length < LENGTH_BYTES) return undefined;
  const length = new DataView(packed.buffer, packed.byteOffset).getUint32(0);
  const end = LENGTH_BYTES + length;
  if (end > packed.length) return undefined;
  return { head: decoder.decode(packed.subarray(LENGTH_BYTES, end)), bytes: new Uint8Array(packed.subarray(end)) };
}
