// A small client: it keeps its connections, and gives up in the end.

import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const GIVE_UP_MS = 30_000;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Asks a server on this machine. @throws when there is none, or it does not answer */
export function ask(port: number, path: string, { method, headers, body }: AskOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const usual = method ?? (body === undefined ? 'GET' : 'POST');
    const sent = request({ agent, port, path, method: usual, headers: { ...headers }, timeout: GIVE_UP_MS });
    sent.on('timeout', () => sent.destroy(new Error(`${path} was not answered within ${GIVE_UP_MS} ms`)));
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    sent.end(body);
  });
}

const HELD_MS = 1_500;

/**
 * So many clients that say something, read nothing, and go away after a while.
 * @param then what each does besides
 */
export async function manyWhoGoAway(
  port: number,
  count: number,
  head: string,
  then: (socket: Socket) => void = () => {},
): Promise<Answer> {
  const sockets = Array.from({ length: count }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(head);
    socket.pause();
    then(socket);
    return socket;
  });
  await sleep(HELD_MS);
  for (const socket of sockets) socket.destroy();
  await sleep(200);
  return { status: 0, headers: {}, body: 'gone' };
}

/** Closes connections that nobody uses: how many there are depends on how many answers were waited for at a time. */
export const hangUp = (): void => agent.destroy();

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
