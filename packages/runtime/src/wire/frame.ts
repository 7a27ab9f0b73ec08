// Records to bytes and back. The reader checks a record's size in its header, before anything of the body is kept.

import { HEADER_BYTES, type WireRecord } from './record.js';

/** Gathers records into frames. `write` is called at most once a turn with all that was queued. */
export class FrameWriter {
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #scheduled = false;
  readonly #write: (frame: Uint8Array) => void;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  constructor(write: (frame: Uint8Array) => void) {
    this.#write = write;
  }

  push(type: number, flags: number, id: number, aux: number, body: Uint8Array | undefined): void {
    const length = body === undefined ? 0 : body.length;
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    header.writeUInt32LE(length, 0);
    header[4] = type;
    header[5] = flags;
    header.writeUInt16LE(0, 6);
    header.writeUInt32LE(id, 8);
    header.writeUInt32LE(aux, 12);
    this.#parts.push(header);
    if (body !== undefined) this.#parts.push(body);
    this.#bytes += HEADER_BYTES + length;
    if (!this.#scheduled) {
      this.#scheduled = true;
      // After the microtasks of this turn, so that the calls which they make leave together.
      process.nextTick(this.#flush);
    }
  }

  /** Bytes that were not written yet. */
  get pending(): number {
    return this.#bytes;
  }

  flush(): void {
    if (this.#bytes === 0) return;
    const frame = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    this.#write(frame);
  }
}

/** A peer broke the protocol; nothing that it sent from here on is read. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
  readonly code = 'ProtocolViolation';
}

const NOTHING = new Uint8Array();

/** Cuts a stream of bytes into records. */
export class FrameReader {
  readonly #limitOf: (type: number) => number;
  readonly #receive: (record: WireRecord) => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #needed = HEADER_BYTES;
  #paused = false;

  /** @param limitOf the largest body of a record type, in bytes; -1 for types that the peer may not send */
  constructor(limitOf: (type: number) => number, receive: (record: WireRecord) => void) {
    this.#limitOf = limitOf;
    this.#receive = receive;
  }

  /** No record is received until `resume`, not even of the bytes that are being cut. */
  pause(): void {
    this.#paused = true;
  }

  /** @throws ProtocolViolation */
  resume(): void {
    this.#paused = false;
    this.push(NOTHING);
  }

  /** @throws ProtocolViolation */
  push(bytes: Uint8Array): void {
    let chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (this.#pendingBytes > 0 || this.#paused) {
      this.#keep(chunk);
      if (this.#pendingBytes < this.#needed || this.#paused) return;
      chunk = Buffer.concat(this.#pending, this.#pendingBytes);
      this.#pending = [];
      this.#pendingBytes = 0;
    }
    let offset = 0;
    while (!this.#paused && chunk.length - offset >= HEADER_BYTES) {
      const length = chunk.readUInt32LE(offset);
      const type = chunk[offset + 4] as number;
      if (length > this.#limitOf(type)) {
        throw new ProtocolViolation(`a record of type ${type} with ${length} bytes`);
      }
      const start = offset + HEADER_BYTES;
      if (chunk.length - start < length) {
        this.#needed = HEADER_BYTES + length;
        this.#keep(chunk.subarray(offset));
        return;
      }
      this.#receive({
        type,
        flags: chunk[offset + 5] as number,
        id: chunk.readUInt32LE(offset + 8),
        aux: chunk.readUInt32LE(offset + 12),
        body: chunk.subarray(start, start + length),
      });
      offset = start + length;
    }
    this.#needed = HEADER_BYTES;
    if (offset < chunk.length) this.#keep(chunk.subarray(offset));
  }

  #keep(rest: Buffer): void {
    // The incoming chunk belongs to the carrier; what stays behind has to be our own.
    this.#pending.push(Buffer.from(rest));
    this.#pendingBytes += rest.length;
  }
}
