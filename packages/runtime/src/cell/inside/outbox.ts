// The way out.

import { RecordType } from '../../wire/record.js';
import type { Send } from './connect.js';

let way: Send;

export const outbox = {
  open(send: Send): void {
    way = send;
  },

  send(type: number, flags: number, id: number, aux: number, body?: string | Uint8Array, error?: unknown): void {
    way(type, flags, id, aux, body, error);
  },

  log(level: number, message: string, fields?: unknown): void {
    let body: string;
    try {
      body = JSON.stringify({ message: message.slice(0, 8000), fields });
      if (body.length > 16_000) body = JSON.stringify({ message: message.slice(0, 8000) });
    } catch {
      body = JSON.stringify({ message: message.slice(0, 8000) });
    }
    try {
      outbox.send(RecordType.log, level, 0, 0, body);
    } catch {
      // Too much is under way to the host: nobody would read so many lines.
    }
  },
};
