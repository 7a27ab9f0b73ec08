// Server-sent events, read with fetch: an EventSource could not show the admin's access token.

import { MatrixError, pause } from './matrix.js';

/** @import { Report } from '../report.js' */

/**
 * Follows the feed until the signal fires; a connection that is lost is made anew.
 * @param {string} url
 * @param {{ token: string | undefined, signal: AbortSignal, onReport: (report: Report) => void, onState: (state: string | undefined) => void }} options
 *   `onState`: why nothing comes; `undefined` once something does
 */
export async function follow(url, { token, signal, onReport, onState }) {
  for (let failures = 0; !signal.aborted; ) {
    try {
      const response = await fetch(url, { signal, headers: token ? { authorization: `Bearer ${token}` } : {} });
      if (!response.ok) throw new MatrixError(response.status, await response.json());
      failures = 0;
      onState(undefined);
      for await (const data of events(response)) onReport(JSON.parse(data));
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof MatrixError && error.status < 429) {
        onState(error.status === 401 ? 'Come in as an admin to see here what the modules decide.' : error.message);
        return;
      }
    }
    onState('The homeserver does not answer. Trying again …');
    await pause(++failures, signal);
  }
}

/**
 * The data of each event.
 * @param {Response} response
 */
async function* events({ body }) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const lines = block.split('\n').filter((line) => line.startsWith('data: '));
      if (lines.length > 0) yield lines.map((line) => line.slice('data: '.length)).join('\n');
    }
  }
}
