// Uploaded files. One is complete on disk before the modules are asked, and can be downloaded only when they all let it pass.

import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import type { Modules } from '@bulkhead/runtime';
import { eq } from 'drizzle-orm';
import type { Database } from '../db/database.js';
import { media } from '../db/schema.js';
import { RefusedByModule, tooLarge } from '../errors.js';
import { randomLetters } from '../ids.js';

export type MediaEntry = typeof media.$inferSelect;

export interface Upload {
  readonly userId: string;
  readonly contentType: string;
  readonly fileName: string | null;
  readonly body: ReadableStream<Uint8Array> | null;
}

/** Where the files are, and how to get rid of them. */
export interface MediaFolder {
  readonly path: string;
  close(): Promise<void>;
}

/** @param path `undefined`: a temporary folder that goes with the server */
export async function openMediaFolder(path: string | undefined): Promise<MediaFolder> {
  if (path === undefined) {
    const temporary = await mkdtemp(join(tmpdir(), 'bulkhead-media-'));
    return { path: temporary, close: () => rm(temporary, { recursive: true, force: true }) };
  }
  // What an interrupted upload left behind was never anybody's.
  await rm(join(path, INCOMPLETE), { recursive: true, force: true });
  await mkdir(join(path, INCOMPLETE), { recursive: true });
  return { path, close: async () => {} };
}

/** What is not whole yet, and is thrown away at the next start. */
export const INCOMPLETE = 'incomplete';

export class MediaStore {
  readonly maxSize: number;
  readonly folder: string;
  readonly #db: Database;
  readonly #modules: Modules;

  constructor(db: Database, folder: MediaFolder, modules: Modules, maxSize: number) {
    this.#db = db;
    this.folder = folder.path;
    this.#modules = modules;
    this.maxSize = maxSize;
  }

  /** @returns the file's id */
  async upload({ userId, contentType, fileName, body }: Upload): Promise<string> {
    const mediaId = randomLetters(24);
    const incomplete = join(this.folder, INCOMPLETE, mediaId);
    await mkdir(join(this.folder, INCOMPLETE), { recursive: true });
    try {
      const size = await this.#receive(body, incomplete);
      const verdict = await this.#modules.spamChecker.checkMediaFileForSpam(
        { size, open: () => createReadStream(incomplete) },
        { fileId: mediaId, urlCache: false },
      );
      if (!verdict.allowed) throw new RefusedByModule(verdict);
      await rename(incomplete, join(this.folder, mediaId));
      await this.#db.insert(media).values({ mediaId, userId, contentType, fileName, size, createdTs: Date.now() });
      return mediaId;
    } finally {
      await rm(incomplete, { force: true });
    }
  }

  async find(mediaId: string): Promise<MediaEntry | undefined> {
    const [entry] = await this.#db.select().from(media).where(eq(media.mediaId, mediaId));
    return entry;
  }

  /** The file is opened when the first byte is asked for: a HEAD request leaves none open. */
  open({ mediaId }: MediaEntry): ReadableStream<Uint8Array> {
    return ReadableStream.from(read(join(this.folder, mediaId)));
  }

  async #receive(body: ReadableStream<Uint8Array> | null, path: string): Promise<number> {
    let size = 0;
    const { maxSize } = this;
    const counted = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        size += chunk.byteLength;
        if (size > maxSize) done(tooLarge(`Files may have ${maxSize} bytes`));
        else done(null, chunk);
      },
    });
    const source = body ? Readable.fromWeb(body as NodeReadableStream<Uint8Array>) : Readable.from([]);
    await pipeline(source, counted, createWriteStream(path));
    return size;
  }
}

async function* read(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path);
}
