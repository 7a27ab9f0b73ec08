import { deflateSync } from 'node:zlib';
import t from 'tap';
import { Client } from './client.ts';
import { startServer } from './harness.ts';

const dataDir = t.testdir();
const server = await startServer(t, { dataDir });
const alice = await server.register('alice');
const nobody = new Client(server.url);

const crc32 = (bytes: Uint8Array) => {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
};

/** A grey PNG. @param rows how many it really has */
function png(width: number, height: number, rows = height): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  const data = deflateSync(Buffer.alloc((width + 1) * rows, 0));
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

const GIF = Buffer.from('R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=', 'base64');

const thumbnail = (client: Client, mxc: string, query: object, base = '/_matrix/client/v1/media') =>
  client.fetch('GET', `${base}/thumbnail/${mxc.slice('mxc://'.length)}`, undefined, { query: query as never });

async function sizeOf(response: Response): Promise<readonly [width: number, height: number]> {
  const bytes = Buffer.from(await response.arrayBuffer());
  const at = bytes.indexOf('VP8 ');
  // A lossy WebP: the sizes stand behind the start code.
  return [bytes.readUInt16LE(at + 14) & 0x3fff, bytes.readUInt16LE(at + 16) & 0x3fff];
}

t.test('the specification’s sizes, as large as was asked for', async (t) => {
  const mxc = await alice.upload(png(1200, 900), 'image/png');
  for (const [query, width, height] of [
    [{ width: 30, height: 30, method: 'crop' }, 32, 32],
    [{ width: 64, height: 64, method: 'crop' }, 96, 96],
    [{ width: 300, height: 100 }, 320, 240],
    [{ width: 321, height: 100, method: 'scale' }, 640, 480],
    [{ width: 5000, height: 5000 }, 800, 600],
  ] as const) {
    const response = await thumbnail(alice, mxc, query);
    t.equal(response.status, 200);
    t.match(Object.fromEntries(response.headers), {
      'content-type': 'image/webp',
      'content-disposition': /^inline; filename=/,
      'x-content-type-options': 'nosniff',
      'content-security-policy': /sandbox/,
    });
    t.same(await sizeOf(response), [width, height]);
  }
});

t.test('a small picture stays small, and keeps its shape', async (t) => {
  const mxc = await alice.upload(png(100, 50), 'image/png');
  t.same(await sizeOf(await thumbnail(alice, mxc, { width: 800, height: 600 })), [100, 50]);
  t.equal((await thumbnail(alice, await alice.upload(GIF, 'image/gif'), { width: 32, height: 32 })).status, 200);
});

t.test('both ways, of which the new one asks who it is', async (t) => {
  const mxc = await alice.upload(png(50, 50), 'image/png');
  const query = { width: 32, height: 32 };
  t.equal((await thumbnail(nobody, mxc, query)).status, 401);
  t.equal((await thumbnail(nobody, mxc, query, '/_matrix/media/v3')).status, 200);
  const several = await Promise.all(Array.from({ length: 20 }, () => thumbnail(alice, mxc, { width: 96, height: 96 })));
  t.same(new Set(several.map(({ status }) => status)), new Set([200]));
});

t.test('what is no picture, or another kind of one', async (t) => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
  for (const [body, type] of [
    ['hello', 'image/png'],
    [svg, 'image/svg+xml'],
    [svg, 'image/png'],
    ['', 'image/png'],
    [png(50, 50).subarray(0, 40), 'image/png'],
  ] as const) {
    const response = await thumbnail(alice, await alice.upload(body, type), { width: 32, height: 32 });
    t.equal(response.status, 400, type);
    t.match(await response.json(), { errcode: 'M_UNKNOWN' });
  }
});

t.test('a small file of very many pixels is not decoded', async (t) => {
  const bomb = png(30_000, 30_000, 3);
  t.ok(bomb.length < 10_000);
  const mxc = await alice.upload(bomb, 'image/png');
  const began = performance.now();
  for (let i = 0; i < 5; i++) {
    const response = await thumbnail(alice, mxc, { width: 32, height: 32 });
    t.equal(response.status, 413);
    t.match(await response.json(), { errcode: 'M_TOO_LARGE' });
  }
  t.ok(performance.now() - began < 5000);
});

t.test('what is refused', async (t) => {
  const mxc = await alice.upload(png(10, 10), 'image/png');
  for (const [query, status, errcode] of [
    [{ width: 32 }, 400, 'M_MISSING_PARAM'],
    [{ width: 32, height: 'x' }, 400, 'M_INVALID_PARAM'],
    [{ width: -1, height: 32 }, 400, 'M_INVALID_PARAM'],
    [{ width: 32, height: 32, method: 'stretch' }, 400, 'M_INVALID_PARAM'],
  ] as const) {
    const response = await thumbnail(alice, mxc, query);
    t.equal(response.status, status);
    t.match(await response.json(), { errcode });
  }
  const none = await thumbnail(alice, 'mxc://example.com/nothing', { width: 32, height: 32 });
  t.equal(none.status, 404);
  const preview = await alice.fetch('GET', '/_matrix/client/v1/media/preview_url?url=http://localhost/');
  t.equal(preview.status, 404);
  t.match(await preview.json(), { errcode: 'M_UNRECOGNIZED' });
});
