// The way out. While the module's script is being evaluated it is not there yet; what is sent then waits.

import { RecordType } from '../../wire/record.js';
import type { Send } from './connect.js';

let send: Send | undefined;
let waiting: Parameters<Send>[] = [];

export const outbox = {
  open(way: Send): void {
    send = way;
    for (const record of waiting) way(...record);
    waiting = [];
  },

  send(...record: Parameters<Send>): void {
    if (send === undefined) waiting.push(record);
    else send(...record);
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
