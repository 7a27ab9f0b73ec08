// Web resources: a request record becomes a Request, the module's Response becomes an answer and a stream.

import type { WebResource } from '@bulkhead/sdk/contract';
import { whenOver } from '../../wire/body.js';
import type { RequestBody, ResponseBody } from '../../wire/record.js';
import type { Streams } from '../../wire/streams.js';

interface Surroundings {
  readonly id: number;
  readonly streams: Streams;
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
  { id, streams, signal, instance, over }: Surroundings,
): Promise<ResponseBody> {
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
  const { body } = response;
  if (body === null) over();
  return {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers],
    stream: body === null ? null : streams.send(whenOver(body, over)),
  };
}
