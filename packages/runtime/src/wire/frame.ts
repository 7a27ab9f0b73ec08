// Records to bytes and back. The reader checks a record's size in its header, before anything of the body is kept.

import { HEADER_BYTES, RecordType, type WireRecord } from './record.js';

const NOTHING: Buffer = Buffer.alloc(0);

/** Text goes into the frame as UTF-8. */
export type Body = Uint8Array | string;

/** Frames are written into pieces of memory of this size, one behind the other; what is longer gets memory of its own. */
const SLAB_BYTES = 64 * 1024;

/**
 * A frame with so many calls, answers or messages of the ModuleApi leaves before the turn is over: whoever gets it begins while the rest is gathered.
 * All else has no hurry, and in small pieces it would only cost the reader more.
 */
const MOST_HASTY = 32;
const HASTY: readonly number[] = [RecordType.call, RecordType.answer, RecordType.api];

/**
 * Gathers records into frames: at most what is queued in one turn.
 * @see Carrier.write for what `write` answers
 */
export class FrameWriter {
  #slab = NOTHING;
  /** Where the frame begins that is being gathered, and where its next record goes. */
  #start = 0;
  #end = 0;
  #hasty = 0;
  #scheduled = false;
  readonly #write: (frame: Uint8Array) => boolean;
  readonly #leave: (flush: () => void) => void;
  readonly #flush = (): void => {
    this.#scheduled = false;
    this.flush();
  };

  /** @param leave when what was gathered leaves; after the microtasks of the turn, so that the calls which they make leave together */
  constructor(write: (frame: Uint8Array) => boolean, leave: (flush: () => void) => void = process.nextTick) {
    this.#write = write;
    this.#leave = leave;
  }

  push(type: number, flags: number, id: number, aux: number, body: Body | undefined): void {
    // What text may take at most is reserved; for a long one it is worth knowing what it does take.
    if (typeof body === 'string' && body.length > SLAB_BYTES / 8) body = Buffer.from(body);
    const start = this.#reserve(HEADER_BYTES + mostBytes(body));
    const slab = this.#slab;
    const at = start + HEADER_BYTES;
    let length = 0;
    if (typeof body === 'string') length = slab.write(body, at);
    else if (body !== undefined) {
      length = body.length;
      slab.set(body, at);
    }
    slab.writeUInt32LE(length, start);
    slab[start + 4] = type;
    slab[start + 5] = flags;
    slab.writeUInt16LE(0, start + 6);
    slab.writeUInt32LE(id, start + 8);
    slab.writeUInt32LE(aux, start + 12);
    this.#end = at + length;
    if (HASTY.includes(type) && ++this.#hasty === MOST_HASTY) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      this.#leave(this.#flush);
    }
  }

  /** Bytes that were not written yet. */
  get pending(): number {
    return this.#end - this.#start;
  }

  flush(): void {
    if (this.#end === this.#start) return;
    const frame = this.#slab.subarray(this.#start, this.#end);
    this.#hasty = 0;
    this.#start = this.#end;
    if (!this.#write(frame)) return;
    this.#start = 0;
    this.#end = 0;
    // What was needed once is not kept for ever.
    if (this.#slab.length > SLAB_BYTES) this.#slab = NOTHING;
  }

  /** Room behind what was gathered. What was written stays untouched: whoever carries it may not have sent it yet. */
  #reserve(bytes: number): number {
    if (this.#end + bytes > this.#slab.length) {
      const gathered = this.pending;
      const slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, 2 * (gathered + bytes)));
      this.#slab.copy(slab, 0, this.#start, this.#end);
      this.#slab = slab;
      this.#start = 0;
      this.#end = gathered;
    }
    return this.#end;
  }
}

/** No character of a string takes more than three bytes. */
const mostBytes = (body: Body | undefined): number =>
  body === undefined ? 0 : typeof body === 'string' ? 3 * body.length : body.length;

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
  readonly #record = new RecordView();

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
    this.#record.set(bytes, offset, end);
    this.#receive(this.#record);
    this.#record.release();
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

/** One for all records: most are looked at and forgotten, and a view of the body costs more than the rest of it. */
class RecordView implements WireRecord {
  type = 0;
  flags = 0;
  id = 0;
  aux = 0;
  #bytes = NOTHING;
  #start = 0;
  #end = 0;

  set(bytes: Buffer, offset: number, end: number): void {
    this.type = bytes[offset + 4] as number;
    this.flags = bytes[offset + 5] as number;
    this.id = bytes.readUInt32LE(offset + 8);
    this.aux = bytes.readUInt32LE(offset + 12);
    this.#bytes = bytes;
    this.#start = offset + HEADER_BYTES;
    this.#end = end;
  }

  release(): void {
    this.#bytes = NOTHING;
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get body(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  get text(): string {
    return this.#bytes.toString('utf8', this.#start, this.#end);
  }
}
