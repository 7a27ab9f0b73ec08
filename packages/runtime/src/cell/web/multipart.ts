// multipart/form-data: a FormData as bytes, and back.

import { randomUUID } from 'node:crypto';
import { blobBytes, File } from './blob.js';
import { concat } from './bytes.js';
import { FormData, formEntries } from './form-data.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LINE_END = Buffer.from('\r\n');
const HEADERS_END = Buffer.from('\r\n\r\n');

export function encodeForm(form: FormData): { bytes: Uint8Array<ArrayBuffer>; type: string } {
  const boundary = `----bulkhead-${randomUUID()}`;
  const parts: Uint8Array[] = [];
  for (const [name, value] of formEntries(form)) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(withLineEnds(name))}"`;
    if (typeof value === 'string') {
      parts.push(encoder.encode(`${head}\r\n\r\n${withLineEnds(value)}\r\n`));
    } else {
      const type = value.type || 'application/octet-stream';
      const file = `; filename="${escaped(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`;
      parts.push(encoder.encode(head + file), blobBytes(value), LINE_END);
    }
  }
  parts.push(encoder.encode(`--${boundary}--\r\n`));
  return { bytes: concat(parts), type: `multipart/form-data; boundary=${boundary}` };
}

/** @throws TypeError when the bytes are not what the content type promises. */
export function parseForm(body: Uint8Array<ArrayBuffer>, contentType: string): FormData {
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(contentType);
  if (boundary === null) throw malformed('it has no boundary');
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = Buffer.from(`--${boundary[1] ?? boundary[2]}`);
  const separator = Buffer.concat([LINE_END, delimiter]);
  const form = new FormData();

  let offset = bytes.indexOf(delimiter);
  if (offset < 0) throw malformed('the boundary is missing');
  offset += delimiter.length;
  while (!startsWith(bytes, offset, '--')) {
    if (!startsWith(bytes, offset, '\r\n')) throw malformed('a boundary is followed by neither a part nor the end');
    const headersEnd = bytes.indexOf(HEADERS_END, offset);
    const end = headersEnd < 0 ? -1 : bytes.indexOf(separator, headersEnd + 2);
    if (end < 0) throw malformed('a part does not end');
    const headers = decoder.decode(bytes.subarray(offset, headersEnd));
    const content = bytes.subarray(Math.min(headersEnd + HEADERS_END.length, end), end);
    addPart(form, headers, content);
    offset = end + separator.length;
  }
  return form;
}

function addPart(form: FormData, headers: string, content: Uint8Array): void {
  const disposition = /^content-disposition:\s*form-data\s*;(.*)$/im.exec(headers)?.[1];
  const name = disposition === undefined ? undefined : parameter(disposition, 'name');
  if (disposition === undefined || name === undefined) throw malformed('a part has no name');
  const filename = parameter(disposition, 'filename');
  if (filename === undefined) {
    form.append(name, decoder.decode(content));
  } else {
    const type = /^content-type:\s*(.*?)\s*$/im.exec(headers)?.[1] ?? 'text/plain';
    form.append(name, new File([content], filename, { type }));
  }
}

function parameter(disposition: string, name: string): string | undefined {
  const found = new RegExp(`(?:^|;|\\s)${name}="([^"]*)"`, 'i').exec(disposition)?.[1];
  return found?.replace(/%0a/gi, '\n').replace(/%0d/gi, '\r').replace(/%22/g, '"');
}

const startsWith = (bytes: Buffer, offset: number, text: string): boolean =>
  bytes[offset] === text.charCodeAt(0) && bytes[offset + 1] === text.charCodeAt(1);

const escaped = (text: string): string => text.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22');

const withLineEnds = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

const malformed = (why: string): TypeError => new TypeError(`not a valid multipart body: ${why}`);
