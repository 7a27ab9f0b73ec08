// In another process, by what is at hand: Node's own IPC, HTTP and gRPC.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';
import { Pool } from 'undici';
import { SpamCheck } from '../workers/grpc-service.js';
import { type Contender, end, Pending, worker } from './contender.ts';

/** Connections that are kept alive; more make it slower here. */
const CONNECTIONS = 16;

export async function startIpc(): Promise<Contender> {
  const child = fork(worker('ipc.js'), { execArgv: [] });
  const pending = new Pending();
  child.on('message', ({ id, spam }: { id: number; spam: boolean }) => pending.answer(id, spam));
  return { ask: (event) => pending.ask((id) => child.send({ id, event })), close: () => end(child) };
}

export async function startHttp(): Promise<Contender> {
  const child = fork(worker('http.js'), { execArgv: [] });
  const [port] = (await once(child, 'message')) as [number];
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS });
  const headers = { 'content-type': 'application/json' };
  return {
    async ask(event) {
      const { body } = await pool.request({ method: 'POST', path: '/', headers, body: JSON.stringify(event) });
      return ((await body.json()) as { spam: boolean }).spam;
    },
    async close() {
      await pool.destroy();
      await end(child);
    },
  };
}

export async function startGrpc(): Promise<Contender> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  const socket = join(folder, 'grpc');
  const child = fork(worker('grpc.js'), [socket], { execArgv: [] });
  await once(child, 'message');
  const client = new SpamCheck(`unix:${socket}`, grpc.credentials.createInsecure());
  return {
    ask: (event) =>
      new Promise((resolve, reject) => {
        client.check({ event: JSON.stringify(event) }, (error, answer) =>
          error === null ? resolve(answer.spam) : reject(error),
        );
      }),
    async close() {
      client.close();
      await end(child);
      rmSync(folder, { recursive: true });
    },
  };
}
