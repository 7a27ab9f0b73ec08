// Web resources: a request record becomes a Request, the module's Response becomes an answer and a stream.

import type { WebResource } from '@bulkhead/sdk/contract';
import { whenOver } from '../../wire/body.js';
import { MOST_PACKED } from '../../wire/packed.js';
import type { RequestBody, ResponseBody } from '../../wire/record.js';
import type { Streams } from '../../wire/streams.js';
import type { Helpers } from './connect.js';

/** With `bytes`, the whole body; without, it comes as a stream if at all. */
interface Answer {
  readonly head: ResponseBody;
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

interface Surroundings {
  readonly id: number;
  readonly streams: Streams;
  readonly helpers: Helpers;
  readonly signal: AbortSignal;
  readonly instance: unknown;
  /** The body of the response is out, or nobody wants it. */
  readonly over: () => void;
}

/** Which live request a Request object stands for: the handle by which the host is asked who makes it. */
const requestIds = new WeakMap<Request, number>();

export const requestIdOf = (request: Request): number | undefined => requestIds.get(request);

export async function answerRequest(
  { resource }: { readonly resource: WebResource },
  { method, url, headers, stream }: RequestBody,
  { id, streams, helpers, signal, instance, over }: Surroundings,
): Promise<Answer> {
  const request = new Request(url, {
    method,
    headers: headers.map(([name, value]): [string, string] => [name, value]),
    body: stream === null ? null : streams.receive(stream),
    signal,
    duplex: 'half',
  } as RequestInit);
  requestIds.set(request, id);
  const response: unknown = await (typeof resource === 'function'
    ? Reflect.apply(resource, instance, [request])
    : resource.fetch(request));
  if (!(response instanceof Response)) throw new TypeError('a web resource must answer a Response');
  const { status, statusText } = response;
  const bytes = helpers.takeBytes(response, MOST_PACKED);
  const body = bytes === undefined ? response.body : null;
  if (body === null) over();
  return {
    head: {
      status,
      statusText,
      headers: [...response.headers],
      stream: body === null ? null : streams.send(whenOver(body, over)),
    },
    ...(bytes === undefined ? {} : { bytes }),
  };
}
