// What the platform gives: the same bytes over the same kind of socket, or port, with nothing around them.

import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Contender, end, Pending, startThread, worker } from './contender.ts';

const HEADER_BYTES = 8;
const ANSWER_BYTES = 5;

export async function startSocketEcho(): Promise<Contender> {
  const { socket, close } = spawnThread('echo');
  let left = 0;
  let echoed: () => void = () => {};
  socket.on('data', (bytes) => {
    left -= bytes.length;
    if (left === 0) echoed();
  });
  return {
    ask: (event) =>
      new Promise((resolve) => {
        echoed = () => resolve(false);
        const bytes = Buffer.from(JSON.stringify(event));
        left = bytes.length;
        socket.write(bytes);
      }),
    close,
  };
}

export async function startSocketFrames(): Promise<Contender> {
  const { socket, close } = spawnThread('frames');
  const frames = new Frames((frame) => void socket.write(frame));
  socket.on('data', (bytes) => frames.receive(bytes));
  return { ask: (event) => frames.ask(event), close };
}

export async function startPortFrames(): Promise<Contender> {
  const thread = startThread('frames-port.js');
  const frames = new Frames((frame) => thread.postMessage(new Uint8Array(frame)));
  thread.on('message', (bytes: Uint8Array) =>
    frames.receive(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
  );
  return { ask: (event) => frames.ask(event), close: async () => void (await thread.terminate()) };
}

/** Gathers the events of a turn into a frame. */
class Frames {
  readonly #pending = new Pending();
  readonly #write: (frame: Buffer) => void;
  #parts: Buffer[] = [];
  #kept: Buffer = Buffer.alloc(0);

  constructor(write: (frame: Buffer) => void) {
    this.#write = write;
  }

  ask(event: unknown): Promise<boolean> {
    return this.#pending.ask((id) => {
      const body = Buffer.from(JSON.stringify(event));
      const header = Buffer.allocUnsafe(HEADER_BYTES);
      header.writeUInt32LE(body.length, 0);
      header.writeUInt32LE(id, 4);
      if (this.#parts.push(header, body) === 2) process.nextTick(() => this.#flush());
    });
  }

  receive(bytes: Buffer): void {
    const chunk = this.#kept.length === 0 ? bytes : Buffer.concat([this.#kept, bytes]);
    let offset = 0;
    for (; chunk.length - offset >= ANSWER_BYTES; offset += ANSWER_BYTES) {
      this.#pending.answer(chunk.readUInt32LE(offset), chunk[offset + 4] === 1);
    }
    this.#kept = chunk.subarray(offset);
  }

  #flush(): void {
    this.#write(Buffer.concat(this.#parts));
    this.#parts = [];
  }
}

function spawnThread(mode: 'echo' | 'frames'): { readonly socket: Socket; close(): Promise<void> } {
  const child: ChildProcess = spawn(process.execPath, [fileURLToPath(worker('frames-child.js')), mode], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe', 'ipc'],
  });
  const socket = child.stdio[3] as Socket;
  socket.on('error', () => {});
  return { socket, close: () => end(child) };
}
