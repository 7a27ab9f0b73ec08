import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const path = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

t.test('a hull whose pipe was closed from inside does not outlive its host', async (t) => {
  const host = spawn(process.execPath, ['--import=tsx', path('host.ts'), t.testdir(), path('closes-pipe.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => host.kill('SIGKILL'));
  const [line] = (await once(host.stdout, 'data')) as [Buffer];
  const { hull, outcome } = JSON.parse(line.toString()) as { hull: number; outcome: { error?: string } };
  t.equal(outcome.error, 'closed', 'the module did close it');
  t.ok(runs(hull), 'the hull lives while its host does');
  host.kill('SIGKILL');
  await once(host, 'exit');
  for (let waited = 0; waited < 20_000 && runs(hull); waited += 100) await new Promise((r) => setTimeout(r, 100));
  t.notOk(runs(hull), 'and ends after it');
});

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
