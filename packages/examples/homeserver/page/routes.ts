// The page, its files and its feed, below one path that is in nobody's way.

import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { Hono } from 'hono';
import { secureHeaders } from 'hono/secure-headers';
import { streamSSE } from 'hono/streaming';
import { MatrixError } from '../errors.js';
import type { Env } from '../http/context.js';
import type { Server } from '../server.js';
import { checkMayWatch } from './access.js';
import { renderPage } from './document.js';

export const PAGE_PATH = '/chat';

// Of the sources: what the browser gets is there as it was written, and not compiled.
const folder = new URL('../../../homeserver/page/browser/', import.meta.url);

const TYPES: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export function pageRoutes(server: Server): Hono<Env> {
  const app = new Hono<Env>();

  app.use(headers);

  app.get('/', (c) => {
    const modules = server.modules.status().map(({ id }) => id);
    return c.html(renderPage(PAGE_PATH, server.config.serverName, modules));
  });

  app.get('/feed', async (c) => {
    await checkMayWatch(c, server);
    const watcher = server.feed.watch();
    if (!watcher) throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many watch the modules already');
    return streamSSE(c, async (stream) => {
      stream.onAbort(() => watcher.close());
      for (let report = await watcher.next(); report; report = await watcher.next()) {
        await stream.writeSSE({ data: JSON.stringify(report) });
      }
    });
  });

  for (const { name, type, content } of readFiles()) {
    app.get(`/${name}`, (c) => c.body(content, 200, { 'content-type': type, 'cache-control': 'no-cache' }));
  }

  return app;
}

/** No inline script or style, nothing from elsewhere, and no way from text to markup. */
const headers = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'"],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
    requireTrustedTypesFor: ["'script'"],
    trustedTypes: ["'none'"],
  },
  // It is for the whole host to say, and the example speaks plain HTTP.
  strictTransportSecurity: false,
});

function readFiles() {
  return readdirSync(folder).flatMap((name) => {
    const type = TYPES[extname(name)];
    return type === undefined ? [] : [{ name, type, content: readFileSync(new URL(name, folder), 'utf8') }];
  });
}
