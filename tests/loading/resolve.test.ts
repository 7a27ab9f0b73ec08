import { join } from 'node:path';
import t from 'tap';
import { resolveModule } from '../../packages/runtime/src/loading/resolve.ts';

const pack = (name: string, fields: object = {}) => ({
  'package.json': JSON.stringify({ name, ...fields }),
  'index.js': '',
  'browser.js': '',
  'node.js': '',
});

t.test('what a specifier means', async (t) => {
  const dir = t.testdir({
    modules: { 'demo.ts': '', 'v1.2': { 'x.y.ts': '' }, 'a#b.ts': '' },
    node_modules: {
      my_super_module: pack('my_super_module'),
      'socket.io': pack('socket.io'),
      '@scope': { 'pkg.x': pack('@scope/pkg.x') },
      both: pack('both', {
        exports: { '.': { browser: './browser.js', node: './node.js', default: './index.js' }, './sub': './index.js' },
      }),
    },
  });
  const modules = join(dir, 'node_modules');
  const means: Record<string, readonly [file: string, exportName: string]> = {
    './modules/demo.ts': [join(dir, 'modules/demo.ts'), 'default'],
    './modules/demo.ts#DemoModule': [join(dir, 'modules/demo.ts'), 'DemoModule'],
    [join(dir, 'modules/demo.ts#A')]: [join(dir, 'modules/demo.ts'), 'A'],
    './modules/v1.2/x.y.ts': [join(dir, 'modules/v1.2/x.y.ts'), 'default'],
    './modules/a#b.ts#C': [join(dir, 'modules/a#b.ts'), 'C'],
    my_super_module: [join(modules, 'my_super_module/index.js'), 'default'],
    'my_super_module.MySuperClass': [join(modules, 'my_super_module/index.js'), 'MySuperClass'],
    'my_super_module#MySuperClass': [join(modules, 'my_super_module/index.js'), 'MySuperClass'],
    'socket.io': [join(modules, 'socket.io/index.js'), 'default'],
    'socket.io.Server': [join(modules, 'socket.io/index.js'), 'Server'],
    '@scope/pkg.x': [join(modules, '@scope/pkg.x/index.js'), 'default'],
    '@scope/pkg.x.Y': [join(modules, '@scope/pkg.x/index.js'), 'Y'],
    'both#X': [join(modules, 'both/browser.js'), 'X'],
    'both/sub.X': [join(modules, 'both/index.js'), 'X'],
  };
  for (const [specifier, [file, exportName]] of Object.entries(means)) {
    t.strictSame(await resolveModule(specifier, dir), { ok: true, file, exportName }, specifier);
  }
  t.match(await resolveModule('both#X', dir, 'thread'), { file: join(modules, 'both/node.js') });
  t.match(await resolveModule('../modules/demo.ts', join(dir, 'node_modules')), { ok: true });
});

t.test('what cannot be found, what was tried, and what may have been meant', async (t) => {
  const dir = t.testdir({ modules: { 'demo.ts': '' } });
  const failures: Record<string, readonly [message: string, hint: string | undefined]> = {
    './modules/dmo.ts#X': [`there is no file ${dir}/modules/dmo.ts`, 'did you mean ./modules/demo.ts?'],
    './modules': [`${dir}/modules is a folder`, 'name a file in it'],
    './elsewhere/demo.ts': [`there is no file ${dir}/elsewhere/demo.ts`, undefined],
    'modules/demo.ts#X': [
      `there is no package "modules/demo.ts" to be found from ${dir}`,
      'a path begins with "./": ./modules/demo.ts',
    ],
    'no_such_module.Export': [
      `there is no package "no_such_module" or "no_such_module.Export" to be found from ${dir}`,
      'is it installed? Try: npm install no_such_module',
    ],
    '@no/such/thing': [
      `there is no package "@no/such/thing" to be found from ${dir}`,
      'is it installed? Try: npm install @no/such',
    ],
    'fs.readFile': [
      `there is no package "fs" or "fs.readFile" to be found from ${dir}`,
      'fs is a part of Node, not a module',
    ],
    '#X': ['expected "package#Export" or "./file.ts#Export", got "#X"', undefined],
    './modules/demo.ts#': ['expected "package#Export" or "./file.ts#Export", got "./modules/demo.ts#"', undefined],
  };
  for (const [specifier, [message, hint]] of Object.entries(failures)) {
    const expected = { ok: false, faults: [{ code: 'ModuleNotFound', message, hint }] };
    t.strictSame(await resolveModule(specifier, dir), expected, specifier);
  }
});
