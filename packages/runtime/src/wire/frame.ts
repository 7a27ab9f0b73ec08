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

/** Cuts a stream of bytes into records. */
export class FrameReader {
  readonly #limitOf: (type: number) => number;
  readonly #receive: (record: WireRecord) => void;
  /** The beginning of a record: of its header at first, then with room for all of it. */
  #kept = Buffer.allocUnsafeSlow(HEADER_BYTES);
  #keptBytes = 0;
  #needed = HEADER_BYTES;
  /** What came in the meantime; little, because the carrier pauses as well. */
  #waiting: Buffer[] = [];
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
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const chunk of waiting) {
      const offset = this.#cut(chunk);
      // A copy already: large ones are read in many turns.
      if (offset < chunk.length) this.#waiting.push(chunk.subarray(offset));
    }
  }

  /** @throws ProtocolViolation */
  push(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const offset = this.#cut(chunk);
    if (offset < chunk.length) this.#waiting.push(Buffer.from(chunk.subarray(offset)));
  }

  /** @returns how far it got before it was paused */
  #cut(chunk: Buffer): number {
    let offset = 0;
    while (!this.#paused && this.#keptBytes > 0) {
      offset += this.#keep(chunk, offset);
      if (this.#keptBytes < this.#needed) return offset;
      const record = this.#kept;
      this.#needed = HEADER_BYTES + this.#lengthIn(record, 0);
      if (this.#needed > record.length) {
        this.#kept = Buffer.allocUnsafeSlow(this.#needed);
        record.copy(this.#kept);
      } else {
        this.#forget();
        this.#deliver(record, 0, record.length);
      }
    }
    while (!this.#paused && chunk.length - offset >= HEADER_BYTES) {
      const end = offset + HEADER_BYTES + this.#lengthIn(chunk, offset);
      if (chunk.length < end) {
        this.#needed = end - offset;
        this.#kept = Buffer.allocUnsafeSlow(this.#needed);
        break;
      }
      this.#deliver(chunk, offset, end);
      offset = end;
    }
    return this.#paused ? offset : offset + this.#keep(chunk, offset);
  }

  /** The length of the body that the header says, if such a record may be so long. */
  #lengthIn(bytes: Buffer, offset: number): number {
    const length = bytes.readUInt32LE(offset);
    const type = bytes[offset + 4] as number;
    if (length > this.#limitOf(type)) throw new ProtocolViolation(`a record of type ${type} with ${length} bytes`);
    return length;
  }

  #deliver(bytes: Buffer, offset: number, end: number): void {
    this.#receive({
      type: bytes[offset + 4] as number,
      flags: bytes[offset + 5] as number,
      id: bytes.readUInt32LE(offset + 8),
      aux: bytes.readUInt32LE(offset + 12),
      body: bytes.subarray(offset + HEADER_BYTES, end),
    });
  }

  /**
   * The incoming chunk belongs to the carrier; what stays behind has to be our own. It is copied into one piece, because a
   * peer that sends byte by byte, or chunks of nothing, would make us hold an object for each.
   */
  #keep(chunk: Buffer, offset: number): number {
    const copied = chunk.copy(this.#kept, this.#keptBytes, offset, offset + this.#needed - this.#keptBytes);
    this.#keptBytes += copied;
    return copied;
  }

  #forget(): void {
    this.#kept = Buffer.allocUnsafeSlow(HEADER_BYTES);
    this.#keptBytes = 0;
    this.#needed = HEADER_BYTES;
  }
}
