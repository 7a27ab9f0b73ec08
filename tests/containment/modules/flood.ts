// Modules that send, ask, keep and say more than anybody can take.

import type { ModuleApi } from '@bulkhead/sdk';
import { afterwards, inCallback, inConstructor, inRequest } from './attacker.ts';

const quietly = (promise: Promise<unknown>): void => void promise.catch(() => {});

/** Again and again, with a turn for others in between: no watch for blocked threads ever sees it. */
const forEver = (deed: () => void, times: number): void => {
  const turn = (): void => {
    for (let i = 0; i < times; i++) {
      try {
        deed();
      } catch {
        // Refused at its own end: it tries again.
        break;
      }
    }
    setTimeout(turn, 0);
  };
  turn();
};

// Calls of the ModuleApi

const write = (api: ModuleApi): void => quietly(api.storage.set('key', 'value'));
export const Calls = afterwards((api) => forEver(() => write(api), 500));
export const CallsInALoop = inCallback((api) => {
  for (;;) write(api);
});
export const LargeCalls = afterwards((api) => {
  const text = 'x'.repeat(1_000_000);
  forEver(() => quietly(api.getProfile(text)), 50);
});
export const CallsWithoutPermission = afterwards((api) =>
  forEver(() => quietly(api.createAndSendEvent({ type: 'm.x', room_id: '!r:x', sender: '@a:x', content: {} })), 500),
);
export const FetchesWithoutPermission = afterwards(() =>
  forEver(() => quietly(fetch('https://flood.example.org/')), 500),
);
export const SleepsAndCalls = afterwards((api) =>
  forEver(() => quietly(api.sleep(0).then(() => api.storage.increment('visits'))), 500),
);

// Log lines

export const Lines = afterwards((api) => forEver(() => api.logger.info('a line'), 1_000));
export const LongLines = afterwards((api) => {
  const line = 'x'.repeat(50_000);
  forEver(() => api.logger.info(line), 100);
});
export const LinesInALoop = inCallback((api) => {
  for (;;) api.logger.info('a line');
});
export const ConsoleLines = afterwards(() => forEver(() => console.log('a line'), 1_000));
export const LineBreaks = afterwards((api) => {
  api.logger.warn('one\nERROR words is ended: it lies\r\n\u001b[2J\u001b]0;title\u0007 two');
});

// Registrations

export const Registrations = inConstructor((api) => {
  for (let i = 0; i < 200_000; i++) api.registerWebResource(`/_synapse/client/flood/${i}`, () => new Response());
});
export const LongPath = inConstructor((api) => {
  api.registerWebResource(`/_synapse/client/${'x'.repeat(5_000_000)}`, () => new Response());
});

// Web responses

const endless = (bytes: number): Response =>
  new Response(
    new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(bytes)),
    }),
  );
export const EndlessBody = inRequest(() => endless(60_000));
export const EndlessBytes = inRequest(() => endless(1));
export const LargeBody = inRequest(() => new Response(new Uint8Array(60 * 2 ** 20)));

// Answers

export const LargeAnswer = inCallback(() => 'x'.repeat(100_000_000));
export const DeepAnswer = inCallback(() => {
  let deep: unknown = 'ORG_DEEP';
  for (let i = 0; i < 100_000; i++) deep = [deep];
  return deep;
});
/** Deep enough for a parser, and small enough for any limit. */
export const QuiteDeepAnswer = inCallback(() => {
  let deep: unknown = 'ORG_DEEP';
  for (let i = 0; i < 2_000; i++) deep = { code: deep };
  return deep;
});

// What it keeps

export const Timers = inCallback(() => {
  for (let i = 0; i < 1_000_000; i++) setTimeout(() => {}, 1_000_000);
  return 'all set';
});
export const Intervals = afterwards(() => {
  for (let i = 0; i < 9_000; i++) setInterval(() => {}, 1);
});
export const Storage = inCallback(async (api) => {
  for (let i = 0; ; i++) await api.storage.set(`key ${i}`, 'x'.repeat(50_000));
});
export const StorageAtOnce = inCallback(async (api) => {
  const writes = Array.from({ length: 500 }, (_, i) => api.storage.set(`key ${i}`, 'x'.repeat(50_000)));
  const results = await Promise.allSettled(writes);
  return `${results.filter(({ status }) => status === 'fulfilled').length} of 500`;
});

// The pool of threads that all cells of a hull share

export const Iterations = inCallback(async () => {
  const key = await crypto.subtle.importKey('raw', new Uint8Array(16), 'PBKDF2', false, ['deriveBits']);
  const derive = { name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(16), iterations: 1_000_000_000 };
  await crypto.subtle.deriveBits(derive, key, 512);
  return 'derived';
});
export const Derivations = inCallback(async () => {
  const key = await crypto.subtle.importKey('raw', new Uint8Array(16), 'PBKDF2', false, ['deriveBits']);
  const derive = { name: 'PBKDF2', hash: 'SHA-512', salt: new Uint8Array(16), iterations: 1_000_000 };
  for (let i = 0; i < 900; i++) quietly(crypto.subtle.deriveBits(derive, key, 512));
  return false;
});
export const Digests = inCallback(() => {
  const bytes = new Uint8Array(15 * 2 ** 20);
  for (let i = 0; i < 900; i++) quietly(crypto.subtle.digest('SHA-512', bytes));
  return false;
});
/** Whether another module's cryptography is served while one has the pool occupied. */
export const RsaKeys = inCallback(() => {
  const rsa = { name: 'RSA-OAEP', modulusLength: 4096, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
  for (let i = 0; i < 100; i++) quietly(crypto.subtle.generateKey(rsa, true, ['encrypt', 'decrypt']));
  return false;
});

// What only Node has

declare const process: { emitWarning(text: string): void; stderr: { write(text: string): boolean } };
export const Broadcasts = inCallback(() => {
  const channel = new BroadcastChannel('flood');
  for (let i = 0; i < 100_000; i++) channel.postMessage('x'.repeat(1_000));
  return 'sent';
});
export const Warnings = afterwards(() => forEver(() => process.emitWarning(`warning ${Math.random()}`), 100));
/** Past everything that Node has between a thread and its process. */
const writesTo = (fd: number, text: string) =>
  afterwards(() => {
    // Not by its name, which the bundler would look for.
    const { require: nodes } = globalThis as unknown as {
      require(name: string): { writeSync(fd: number, text: string): number };
    };
    const { writeSync } = nodes('node:fs');
    forEver(() => void writeSync(fd, text), 100);
  });
export const StandardError = writesTo(2, 'x'.repeat(60_000));
export const ControlPipe = writesTo(3, `${JSON.stringify({ report: 'usage', cells: [] })}\n`.repeat(1_000));
