// Each folder of fixtures/broken holds a faulty homeserver.yaml and, word for word, what an admin is told about it.
// UPDATE_EXPECTED=1 writes the files anew; read the difference before you commit it.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { formatProblems } from '../../packages/runtime/src/config/problem.ts';
import { readConfig } from '../../packages/runtime/src/config/read.ts';

process.env.BULKHEAD_TEST_SET = 'a value';
delete process.env.BULKHEAD_TEST_UNSET;

const fixtures = join(import.meta.dirname, 'fixtures/broken');

for (const name of readdirSync(fixtures)) {
  t.test(name, (t) => {
    const text = readFileSync(join(fixtures, name, 'homeserver.yaml'), 'utf8');
    const { problems } = readConfig({ text, file: 'homeserver.yaml' });
    const told = `${formatProblems(problems)}\n`;
    const expected = join(fixtures, name, 'expected.txt');
    if (process.env.UPDATE_EXPECTED) writeFileSync(expected, told);
    t.equal(told, readFileSync(expected, 'utf8'));
    t.ok(problems.length > 0);
    t.end();
  });
}
