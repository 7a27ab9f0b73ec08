// Uploads, downloads and thumbnails.

import { type Context, Hono } from 'hono';
import * as v from 'valibot';
import { invalidParam, notFound, tooLarge } from '../errors.js';
import { check } from '../http/body.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import type { MediaEntry } from './media.js';

/** Types that browsers may show in place; a page or a picture with scripts in it is downloaded instead. */
const INLINE = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/flac',
]);

const MAX_NAME_BYTES = 500;

/** Below /_matrix/media. */
export function mediaRoutes(server: Server): Hono<Env> {
  const { config, authenticator, media } = server;
  const app = new Hono<Env>();

  app.get('/v3/config', authenticator.user, (c) => c.json({ 'm.upload.size': media.maxSize }));

  app.post('/v3/upload', authenticator.user, async (c) => {
    const declared = Number(c.req.header('content-length') ?? 0);
    if (declared > media.maxSize) throw tooLarge(`Files may have ${media.maxSize} bytes`);
    const fileName = c.req.query('filename') || null;
    if (fileName !== null && (fileName.includes('\0') || Buffer.byteLength(fileName) > MAX_NAME_BYTES)) {
      throw invalidParam('The file name is too long');
    }
    const mediaId = await media.upload({
      userId: c.var.requester.userId,
      contentType: c.req.header('content-type') ?? 'application/octet-stream',
      fileName,
      body: c.req.raw.body,
    });
    return c.json({ content_uri: `mxc://${config.serverName}/${mediaId}` });
  });

  app.get('/v3/download/:serverName/:mediaId', (c) => download(server, c));
  app.get('/v3/download/:serverName/:mediaId/:fileName', (c) => download(server, c));
  app.get('/v3/thumbnail/:serverName/:mediaId', (c) => thumbnail(server, c));

  return app;
}

/** The authenticated downloads, below /_matrix/client. */
export function clientMediaRoutes(server: Server): Hono<Env> {
  const app = new Hono<Env>();
  const { user } = server.authenticator;
  app.get('/v1/media/config', user, (c) => c.json({ 'm.upload.size': server.media.maxSize }));
  app.get('/v1/media/download/:serverName/:mediaId', user, (c) => download(server, c));
  app.get('/v1/media/download/:serverName/:mediaId/:fileName', user, (c) => download(server, c));
  app.get('/v1/media/thumbnail/:serverName/:mediaId', user, (c) => thumbnail(server, c));
  return app;
}

async function download(server: Server, c: Context<Env>): Promise<Response> {
  const entry = await fileIn(server, c);
  const type = entry.contentType.split(';')[0]?.trim().toLowerCase() ?? '';
  const place = INLINE.has(type) ? 'inline' : 'attachment';
  const name = c.req.param('fileName') ?? entry.fileName;
  return new Response(server.media.open(entry), {
    headers: {
      ...HEADERS,
      'content-type': entry.contentType,
      'content-length': String(entry.size),
      'content-disposition': name === null ? place : `${place}; filename*=utf-8''${encodeHeader(name)}`,
    },
  });
}

async function thumbnail(server: Server, c: Context<Env>): Promise<Response> {
  const wanted = check(ThumbnailQuery, c.req.query(), invalidParam);
  const entry = await fileIn(server, c);
  const { contentType, size, open } = await server.thumbnails.get(entry, wanted);
  return new Response(open(), {
    headers: {
      ...HEADERS,
      'content-type': contentType,
      'content-length': String(size),
      'content-disposition': 'inline; filename="thumbnail.webp"',
    },
  });
}

const Pixels = v.pipe(v.string(), v.regex(/^[1-9]\d{0,5}$/, 'expected a number of pixels'), v.transform(Number));
const ThumbnailQuery = v.object({
  width: Pixels,
  height: Pixels,
  method: v.optional(v.picklist(['crop', 'scale']), 'scale'),
});

async function fileIn({ config, media }: Server, c: Context<Env>): Promise<MediaEntry> {
  const entry = c.req.param('serverName') === config.serverName && (await media.find(c.req.param('mediaId') ?? ''));
  if (!entry) throw notFound('File not found');
  return entry;
}

const HEADERS = {
  'cache-control': 'public, max-age=86400, immutable',
  // An uploaded page must not act as this server, whatever a browser makes of it.
  'content-security-policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; media-src 'self'; object-src 'self';",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'cross-origin',
};

/** RFC 8187: what encodeURIComponent leaves as it is and a header may not have. */
const encodeHeader = (text: string) =>
  encodeURIComponent(text).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
