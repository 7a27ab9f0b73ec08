// Small pictures of uploaded ones, made when somebody asks and kept. Whoever uploads a picture chooses what the decoder has
// to work on, so it decodes a few formats, few pixels, for a short time, and two pictures at once.

import { createReadStream } from 'node:fs';
import { mkdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { limitExceeded, tooLarge, unknownRequest } from '../errors.js';
import { INCOMPLETE, type MediaEntry, type MediaStore } from './media.js';

export type Method = 'crop' | 'scale';

export interface Thumbnail {
  readonly contentType: string;
  readonly size: number;
  open(): ReadableStream<Uint8Array>;
}

interface Size {
  readonly width: number;
  readonly height: number;
  readonly method: Method;
}

/** The specification's own ("Thumbnails"): for any other there would be as many files as somebody cares to ask for. */
const SIZES: readonly Size[] = [
  { width: 32, height: 32, method: 'crop' },
  { width: 96, height: 96, method: 'crop' },
  { width: 320, height: 240, method: 'scale' },
  { width: 640, height: 480, method: 'scale' },
  { width: 800, height: 600, method: 'scale' },
];

const MAX_BYTES = 20 << 20;
/** A picture of a few kilobytes may say that it has a billion. */
const MAX_PIXELS = 40_000_000;
const MAX_SECONDS = 10;
const MAX_AT_ONCE = 2;
const MAX_WAITING = 50;
const RETRY_MS = 1000;
const MAX_FAILED = 1000;

const DECODED = ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadNsgif'];

// The library reads many more formats, and some of them read other files.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({ operation: DECODED });
sharp.concurrency(1);
sharp.cache(false);

export class Thumbnails {
  readonly #media: MediaStore;
  /** By path: two who ask at once get the same one. */
  readonly #making = new Map<string, Promise<void>>();
  /** Files that took their time and came to nothing, or would take it again. */
  readonly #failed = new Map<string, unknown>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(media: MediaStore) {
    this.#media = media;
  }

  /** The smallest that is as large as the client wants, or the largest there is. */
  async get(entry: MediaEntry, wanted: Size): Promise<Thumbnail> {
    if (entry.size > MAX_BYTES) throw tooLarge('The file is too large for a thumbnail');
    const size = sizeFor(wanted);
    const name = `${entry.mediaId}-${size.width}x${size.height}-${size.method}.webp`;
    const path = join(this.#media.folder, 'thumbnails', name);
    if (this.#failed.has(path)) throw this.#failed.get(path);
    if (!(await bytesIn(path))) await this.#once(path, () => this.#make(entry, path, name, size));
    const open = () => ReadableStream.from(read(path));
    return { contentType: 'image/webp', size: (await bytesIn(path)) ?? 0, open };
  }

  #once(path: string, work: () => Promise<void>): Promise<void> {
    const running = this.#making.get(path);
    if (running) return running;
    const making = this.#inTurn(work).finally(() => this.#making.delete(path));
    this.#making.set(path, making);
    return making;
  }

  async #make({ mediaId }: MediaEntry, path: string, name: string, size: Size): Promise<void> {
    const draft = join(this.#media.folder, INCOMPLETE, name);
    for (const file of [path, draft]) await mkdir(dirname(file), { recursive: true });
    try {
      await shrink(join(this.#media.folder, mediaId), draft, size);
    } catch (error) {
      const [oldest] = this.#failed.keys();
      if (this.#failed.size >= MAX_FAILED && oldest !== undefined) this.#failed.delete(oldest);
      this.#failed.set(path, error);
      throw error;
    }
    await rename(draft, path);
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    if (this.#running >= MAX_AT_ONCE) {
      if (this.#waiting.length >= MAX_WAITING) throw limitExceeded(RETRY_MS);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      await work();
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

function sizeFor({ width, height, method }: Size): Size {
  const ofMethod = SIZES.filter((size) => size.method === method);
  const fits = ofMethod.find((size) => size.width >= width && size.height >= height);
  // Squares end at 96: a larger one is cut out of the next larger picture.
  if (fits) return fits;
  const larger = SIZES.find((size) => size.width >= width && size.height >= height) ?? SIZES.at(-1);
  return { ...(larger ?? { width, height }), method };
}

/** Of pictures that move, the first: `animated` is a wish that a server may leave unfulfilled. */
async function shrink(from: string, to: string, { width, height, method }: Size): Promise<void> {
  try {
    await sharp(from, { limitInputPixels: MAX_PIXELS, sequentialRead: true, failOn: 'error' })
      .timeout({ seconds: MAX_SECONDS })
      .autoOrient()
      .resize({ width, height, fit: method === 'crop' ? 'cover' : 'inside', withoutEnlargement: true })
      .webp({ quality: 80 })
      .toFile(to);
  } catch (error) {
    const { message } = error as Error;
    if (/pixel limit|timeout/i.test(message)) throw tooLarge('The picture is too large for a thumbnail');
    throw unknownRequest('No thumbnail can be made of this file');
  }
}

const bytesIn = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ size }) => size,
    () => undefined,
  );

async function* read(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path);
}
