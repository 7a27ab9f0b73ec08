// What was acknowledged is there after the process was killed, and the quota is counted from what is there.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ENTRY_BYTES, openStorage } from '../../packages/runtime/src/api/storage.ts';

const script = fileURLToPath(new URL('./fixtures/storage-child.ts', import.meta.url));

t.test('kill -9 loses nothing that was acknowledged', async (t) => {
  const directory = t.testdir();
  for (let round = 1; round <= 3; round++) {
    const { child, lines } = writer(directory);
    let acknowledged = 0;
    for await (const line of lines) {
      acknowledged = Number(line);
      if (acknowledged === round * 300) child.kill('SIGKILL');
    }

    const storage = await openStorage(directory);
    const store = storage.of('demo', { quotaBytes: 0 });
    const count = Number(await store.get('count'));
    t.ok(count === acknowledged || count === acknowledged + 1, `counted to ${count}, acknowledged ${acknowledged}`);
    t.equal(await store.get(`entry ${acknowledged}`), 'x'.repeat(acknowledged % 500));

    let used = 0;
    for (let after: string | undefined; ; ) {
      const { entries, next } = await store.list({ limit: 1000, after });
      for (const [key, value] of entries) used += ENTRY_BYTES + key.length + JSON.stringify(value).length;
      if (next === null) break;
      after = next;
    }
    const added = ENTRY_BYTES + 'new'.length + '1'.length;
    storage.of('demo', { quotaBytes: used + added - 1 });
    await t.rejects(store.set('new', 1), { code: 'QuotaExceeded' }, 'one byte too many');
    storage.of('demo', { quotaBytes: used + added });
    await store.set('new', 1);
    await store.delete('new');
    await storage.close();
  }
});

t.test('a folder that another process has open is refused, and free once that process is dead', async (t) => {
  const directory = t.testdir();
  const { child, lines } = writer(directory);
  await lines[Symbol.asyncIterator]().next();
  await t.rejects(openStorage(directory), { code: 'StorageLocked', message: /another process/ });
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
  const storage = await openStorage(directory);
  t.ok(Number(await storage.of('demo', { quotaBytes: 0 }).get('count')) > 0);
  await storage.close();
});

function writer(directory: string): { child: ChildProcess; lines: AsyncIterable<string> } {
  const child = spawn(process.execPath, ['--import=tsx', script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  return { child, lines: createInterface({ input: child.stdout }) };
}
