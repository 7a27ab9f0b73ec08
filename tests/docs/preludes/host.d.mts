// What a fragment of a homeserver has around it.

declare global {
  type EventData = import('@bulkhead/sdk').EventData;
  type StateLookup = import('@bulkhead/sdk/contract').StateLookup;
  type Homeserver = import('@bulkhead/runtime').Homeserver;
  const refusalResponse: typeof import('@bulkhead/runtime').refusalResponse;
  const modules: import('@bulkhead/runtime').Modules;
  const logger: import('@bulkhead/runtime').Logger;
  const app: import('hono').Hono;

  const userAgent: string;
  const ip: string;
  const upload: { readonly id: string; readonly size: number; stream(): ReadableStream<Uint8Array> };
  const database: {
    stateEvent(roomId: string, type: string, stateKey: string): Promise<EventData | undefined>;
    stateEvents(roomId: string, type: string): Promise<EventData[]>;
    allState(roomId: string): AsyncIterable<EventData>;
    user(userId: string): Promise<{ readonly profile: { displayname?: string; avatar_url?: string } } | undefined>;
  };
  function buildEvent(c: import('hono').Context): Promise<EventData>;
  function store(event: object): Promise<string>;
  function rebuild(event: EventData): EventData;
  function stateBefore(event: EventData): StateLookup;
  function createUser(name: string, options: { readonly shadowBanned: boolean }): Promise<void>;
  function authenticate(request: Request): Promise<{ readonly requester: import('@bulkhead/sdk').Requester }>;
  function alert(message: string): void;
  class HttpError extends Error {
    constructor(response: Response);
  }
}

export {};
