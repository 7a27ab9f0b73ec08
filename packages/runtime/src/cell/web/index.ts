// The web's classes of a cell, and the names by which modules know them. They are plain JavaScript with private state: no
// native object, and no state that can be found under a symbol.

import { AbortController, AbortSignal } from './abort.js';
import { atob, btoa } from './base64.js';
import { Blob, File } from './blob.js';
import { performance } from './clock.js';
import { CompressionStream, DecompressionStream } from './compression.js';
import { Crypto, CryptoKey, crypto, SubtleCrypto } from './crypto.js';
import { DOMException } from './dom-exception.js';
import { CustomEvent, Event, EventTarget } from './events.js';
import { FormData } from './form-data.js';
import { Headers } from './headers.js';
import { reportUncaught } from './life.js';
import { Request } from './request.js';
import { Response } from './response.js';
import * as streams from './streams.js';
import { refuseToClone, structuredClone } from './structured-clone.js';
import { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream } from './text.js';
import { URL, URLSearchParams } from './url.js';

export const web: Readonly<Record<string, unknown>> = {
  ...streams,
  AbortController,
  AbortSignal,
  Blob,
  CompressionStream,
  Crypto,
  CryptoKey,
  CustomEvent,
  DOMException,
  DecompressionStream,
  Event,
  EventTarget,
  File,
  FormData,
  Headers,
  Request,
  Response,
  SubtleCrypto,
  TextDecoder,
  TextDecoderStream,
  TextEncoder,
  TextEncoderStream,
  URL,
  URLSearchParams,
  atob,
  btoa,
  crypto,
  performance,
  reportError: (error: unknown): void => reportUncaught(error),
  structuredClone,
};

for (const [name, value] of Object.entries(web)) {
  // A bundler renames a class whose name it has met before.
  if (typeof value === 'function') Object.defineProperty(value, 'name', { value: name, configurable: true });
  if (value !== Blob && value !== File) refuseToClone(value);
}
