// Every block of TypeScript or JavaScript in the documentation is type-checked against the built packages.

import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { readPages, root } from './markdown.ts';
import { emptyFolder, fileOf, isCode, write } from './project.ts';

const run = promisify(execFile);
const pages = readPages();
const folder = emptyFolder('docs-types');
const preludes = readdirSync(join(import.meta.dirname, 'preludes')).map((file) => file.replace(/\.d\.mts$/, ''));

// Globals are a program's, so that each prelude needs one of its own.
for (const prelude of ['', ...preludes]) {
  t.test(prelude === '' ? 'modules and programs' : `fragments with ${prelude}`, async (t) => {
    let count = 0;
    const project = join(folder, prelude || 'none');
    for (const page of pages) {
      for (const block of page.blocks.filter(isCode)) {
        if ((block.words.get('with') ?? '') !== prelude) continue;
        const isModule = /^(import|export) /m.test(block.text);
        write(join(project, page.slug, fileOf(block)), isModule ? block.text : `${block.text}\nexport {};\n`);
        count++;
      }
    }
    t.ok(count > 0, 'the prelude is used');
    const options = {
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: { composite: false, noEmit: true, allowJs: true, checkJs: true, noErrorTruncation: true },
      include: ['**/*'],
      files: prelude === '' ? [] : [join(import.meta.dirname, 'preludes', `${prelude}.d.mts`)],
    };
    write(join(project, 'tsconfig.json'), JSON.stringify(options));
    const tsc = join(root, 'node_modules/.bin/tsc');
    const output = await run(tsc, ['-p', project]).then(
      () => '',
      ({ stdout }: { stdout: string }) => stdout,
    );
    t.equal(output, '');
  });
}
