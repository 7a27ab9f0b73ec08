// Events as clients send them, each another one.

import type { EventData } from '@bulkhead/sdk/contract';

export const sizes = { '0.3 KB': 300, '2 KB': 2_000, '16 KB': 16_000, '60 KB': 60_000 } as const;
export type Size = keyof typeof sizes;

const TEXT = `The ferry leaves at seven, so we should meet at the harbour a little before that. Bring the maps if you
have them, and something warm: the wind out there is not to be trusted, whatever the forecast says. `.repeat(400);
/** The largest part of an event that is no body. */
const AROUND_BYTES = 235;

let number = 0;

/** An event of about so many bytes as JSON. None is like another, so nobody can answer from memory. */
export function createEvent(size: Size): EventData {
  number++;
  const start = (number * 37) % 200;
  return {
    type: 'm.room.message',
    room_id: '!Ybhdlkrqsaojxzbnwt:example.com',
    sender: `@alice${number % 1000}:example.com`,
    event_id: `$${number.toString(36).padStart(43, 'kHfW3b9')}`,
    origin_server_ts: 1_700_000_000_000 + number,
    content: {
      msgtype: 'm.text',
      body: `${number} ${TEXT.slice(start, start + Math.max(20, sizes[size] - AROUND_BYTES))}`,
    },
  };
}
