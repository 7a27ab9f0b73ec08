// JSON over HTTP to another server, which may be slow, endless, or somebody else: time and size have limits, and
// redirects are not followed.

/** No answer, or none that can be read. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

export interface HttpRequest {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly maxBytes: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

/** @throws Unreachable */
export async function fetchJson(url: string, request: HttpRequest): Promise<HttpAnswer> {
  const { method, headers = {}, body, timeoutMs, maxBytes, signal } = request;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      method,
      headers,
      redirect: 'error',
      signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
      ...(body === undefined ? {} : { body }),
    });
    const answer: unknown = JSON.parse(await readUpTo(maxBytes, response.body));
    if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) throw new Unreachable('No JSON object');
    return { status: response.status, body: answer as HttpAnswer['body'] };
  } catch (error) {
    if (error instanceof Unreachable) throw error;
    throw new Unreachable(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

async function readUpTo(maxBytes: number, body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) throw new Unreachable(`The answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}
