// The two things that frames cross on: a socket of the hull's, or a message port within one process.

import { Socket, type SocketConstructorOpts, type TcpSocketConnectOpts } from 'node:net';
import type { MessagePort } from 'node:worker_threads';

const READ_BYTES = 64 * 1024;

/** Carries bytes between one cell and its peer, in order, and says when the other end is gone. */
export interface Carrier {
  /** @returns whether the memory of this frame and of all before it is free; if not, it may not change any more */
  write(frame: Uint8Array): boolean;
  /** Bytes written that the peer has not taken yet, as far as this end can tell. */
  backlog(): number;
  /** Called whenever a backlog is gone. */
  onDrain(drained: () => void): void;
  onBytes(receive: (bytes: Uint8Array) => void): void;
  /** Called once, however the carrier ends. */
  onClose(closed: () => void): void;
  /** Takes nothing more from the peer, which has to wait then. @returns whether that can be had */
  pause(): boolean;
  resume(): void;
  close(): void;
}

/** A socket of our own, read into one piece of memory. */
export function fdCarrier(fd: number): Carrier {
  let receive: (bytes: Uint8Array) => void = () => {};
  // Node's types know `onread` for those sockets alone that connect.
  const options: SocketConstructorOpts & Pick<TcpSocketConnectOpts, 'onread'> = {
    fd,
    readable: true,
    writable: true,
    onread: {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      callback: (bytes, buffer) => {
        receive(buffer.subarray(0, bytes));
        return true;
      },
    },
  };
  const socket = new Socket(options);
  return {
    ...socketCarrier(socket),
    onBytes(listener) {
      receive = listener;
      socket.resume();
    },
  };
}

export function socketCarrier(socket: Socket): Carrier {
  // A dying peer shows as EPIPE or ECONNRESET; 'close' follows, and that is what counts.
  socket.on('error', () => {});
  return {
    write: (frame) => {
      socket.write(frame);
      return socket.writableLength === 0;
    },
    backlog: () => socket.writableLength,
    onDrain: (drained) => void socket.on('drain', drained),
    onBytes: (receive) => void socket.on('data', receive),
    onClose: (closed) => {
      // Of a hull that has just ended, unused sockets have closed before anybody looked at them.
      if (socket.closed) setImmediate(closed);
      else socket.once('close', closed);
    },
    pause: () => {
      socket.pause();
      return true;
    },
    resume: () => void socket.resume(),
    close: () => void socket.destroy(),
  };
}

export function portCarrier(port: MessagePort): Carrier {
  return {
    // A port would clone all the memory of which the frame is a part.
    write: (frame) => {
      const own = new Uint8Array(frame);
      port.postMessage(own, [own.buffer]);
      return true;
    },
    backlog: () => 0,
    onDrain: () => {},
    onBytes: (receive) =>
      void port.on('message', (data: unknown) => {
        // A port carries any clonable value; only bytes are of the protocol.
        if (data instanceof Uint8Array) receive(data);
        else port.close();
      }),
    onClose: (closed) => void port.once('close', closed),
    // What a port was sent is in this process already.
    pause: () => false,
    resume: () => {},
    close: () => port.close(),
  };
}
