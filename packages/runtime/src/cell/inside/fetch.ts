// `fetch` for modules: the host carries it out, to the hosts that the admin granted.

import type { ResponseBody } from '../../wire/record.js';
import type { Streams } from '../../wire/streams.js';
import type { Remote } from './remote.js';

interface FetchAnswer extends ResponseBody {
  readonly url: string;
  readonly redirected: boolean;
}

const NULL_BODY_STATUS = [101, 103, 204, 205, 304];

export function createFetch(remote: Remote, streams: Streams): typeof fetch {
  let lastId = 0;
  return async (input, init) => {
    const request = new Request(input, init);
    request.signal.throwIfAborted();
    const id = ++lastId;
    const cancel = (): void => void remote.call('fetch.cancel', id).catch(() => {});
    request.signal.addEventListener('abort', cancel, { once: true });
    try {
      const answer = await Promise.race([
        remote.call<FetchAnswer>('fetch', id, {
          method: request.method,
          url: request.url,
          headers: [...request.headers],
          redirect: request.redirect,
          stream: request.body === null ? null : streams.send(request.body),
        }),
        aborted(request.signal),
      ]);
      const body = answer.stream === null ? null : streams.receive(answer.stream);
      const response = new Response(NULL_BODY_STATUS.includes(answer.status) ? null : body, {
        status: answer.status,
        statusText: answer.statusText,
        headers: answer.headers.map(([name, value]): [string, string] => [name, value]),
      });
      Object.defineProperties(response, { url: { value: answer.url }, redirected: { value: answer.redirected } });
      return response;
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      // The standard's own error for "no answer"; the reason with its code is the cause.
      throw new TypeError(error instanceof Error ? error.message : 'fetch failed', { cause: error });
    }
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
