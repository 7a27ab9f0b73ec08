// Arguments that do not cross: a room's state and a file. Each asks the host through the call that it came with.

import {
  createMatrixEvent,
  type EventData,
  type MatrixEvent,
  type MediaFile,
  type StateMap,
} from '@bulkhead/sdk/contract';
import type { Streams } from '../../wire/streams.js';
import type { Remote } from './remote.js';

/** What came with the call, or was looked up once in it, is kept for the call: the state is pinned. */
export function stateHandle(
  remote: Remote,
  callId: number,
  known: Readonly<Record<string, readonly EventData[]>>,
): StateMap {
  const found = new Map<string, Promise<MatrixEvent | undefined>>();
  const lists = new Map<string, Promise<readonly MatrixEvent[]>>();
  for (const [type, data] of Object.entries(known)) {
    lists.set(type, Promise.resolve(data.map(createMatrixEvent)));
  }
  return Object.freeze({
    get(type: string, stateKey = '') {
      const all = lists.get(type);
      if (all !== undefined) return all.then((events) => events.find(({ state_key }) => state_key === stateKey));
      const key = JSON.stringify([type, stateKey]);
      let event = found.get(key);
      if (event === undefined) {
        event = remote
          .call<EventData | null>('state.get', callId, type, stateKey)
          .then((data) => (data === null ? undefined : createMatrixEvent(data)));
        found.set(key, event);
      }
      return event;
    },
    list(type: string) {
      let events = lists.get(type);
      if (events === undefined) {
        events = remote.call<EventData[]>('state.list', callId, type).then((list) => list.map(createMatrixEvent));
        lists.set(type, events);
      }
      return events;
    },
    async *entries() {
      for (let page = 0; ; page++) {
        const { events, done } = await remote.call<{ events: EventData[]; done: boolean }>(
          'state.entries',
          callId,
          page,
        );
        yield* events.map(createMatrixEvent);
        if (done) return;
      }
    },
  });
}

export function fileHandle(
  remote: Remote,
  streams: Streams,
  callId: number,
  index: number,
  { size }: { size: number },
): MediaFile {
  const open = async (): Promise<ReadableStream<Uint8Array>> =>
    streams.receive(await remote.call<number>('file.open', callId, index));
  return Object.freeze({
    size,
    async read() {
      const bytes = new Uint8Array(size);
      let offset = 0;
      for await (const chunk of (await open()) as unknown as AsyncIterable<Uint8Array>) {
        bytes.set(chunk, offset);
        offset += chunk.length;
      }
      return bytes;
    },
    stream() {
      let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            reader ??= (await open()).getReader();
            const { done, value } = await reader.read();
            if (done) controller.close();
            else controller.enqueue(value);
          },
          cancel: (reason) => reader?.cancel(reason),
        },
        { highWaterMark: 0 },
      );
    },
  });
}
