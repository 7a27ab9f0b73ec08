// Every configuration that the examples show to admins starts, and what is wrong in one is told with its place.

import { readdir, readFile } from 'node:fs/promises';
import t from 'tap';
import { unaskedOf } from '../../packages/runtime/src/api/permissions.ts';
import { readConfig } from '../../packages/runtime/src/config/read.ts';
import { examples, problemsOf, startModules } from './harness.js';

t.test('homeserver.yaml', async (t) => {
  const modules = await startModules(t, await readFile(`${examples}homeserver.yaml`, 'utf8'));
  for (const { id, state, permissions } of modules.status()) {
    t.equal(state, 'running', id);
    t.same(unaskedOf(permissions.asked, permissions.granted), {}, `${id} has no more than it asks for`);
  }
});

t.test('homeserver-20.yaml is the same with more word lists', async (t) => {
  const entriesOf = async (file: string) => {
    const { config, problems } = readConfig({ text: await readFile(examples + file, 'utf8'), file: examples + file });
    t.same(problems, []);
    return config.modules.map(({ path: _, locate: __, ...entry }) => entry);
  };
  const few = await entriesOf('homeserver.yaml');
  const twenty = await entriesOf('homeserver-20.yaml');
  t.equal(twenty.length, 20);
  const known = new Set(few.map(({ id }) => id));
  t.same(
    twenty.filter(({ id }) => known.has(id)),
    few,
  );
});

t.test('the README of each module', async (t) => {
  const names = await readdir(`${examples}modules`);
  const readmes = new Map<string, string>();
  for (const name of names) readmes.set(name, await readFile(`${examples}modules/${name}/README.md`, 'utf8'));
  // All of them in one server: what stands in a README is a `modules:` section.
  const sections = [...readmes].map(([name, readme]) => {
    const [, section] = /```yaml\nmodules:\n(.*?)```/s.exec(readme) ?? [];
    t.ok(section, `${name} shows a configuration`);
    return section;
  });
  const modules = await startModules(t, `modules:\n${sections.join('')}`);

  for (const [name, readme] of readmes) {
    const status = modules.status().find(({ specifier }) => specifier.startsWith(`./modules/${name}/`));
    t.ok(status, name);
    for (const callback of status?.callbacks ?? []) {
      const listed = callback.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      t.match(readme, `\`${listed}\``, `${name} lists what it registers`);
    }
    for (const resource of status?.resources ?? []) t.match(readme, `\`${resource}\``);
  }
});

t.test('what a module does not accept is told with its place', async (t) => {
  const problems = await problemsOf(
    t,
    `
modules:
  - module: ./modules/word-list/index.ts
    id: words
    config:
      lists:
        gambling: { words: [casino, ""] }
  - module: ./modules/domain-invites/index.ts#DomainInvites
    id: invites
    config:
      invites:
        example.com:
          - example.com
          - 5
  - module: ./modules/account-expiry/index.ts#AccountExpiry
    id: expiry
    config: { period: soon }
  - module: ./modules/signup-and-media/index.ts#SignupAndMedia
    id: media
    config:
      signups:
        - { username: "^(", action: deny }
  - module: ./modules/freeze-room/index.ts#FreezeRoom
    id: freeze
    config: { power_levle: 100 }
  - module: ./modules/presence-router/index.ts#PresenceRouter
    id: presence
    config:
      users:
        "@a:example.com": EVERYBODY
`,
  );
  t.match(
    problems.map(({ path, place, message }) => [path, `${place?.line}:${place?.column}`, message]),
    [
      ['modules[0].config.lists.gambling.words[1]', '7:37', 'expected a word with at least one visible character'],
      ['modules[1].config.invites["example.com"][1]', '14:13', 'Expected string but received 5'],
      ['modules[2].config.period', '17:23', 'expected a duration such as 30d or 1h30m'],
      ['modules[3].config.signups[0].username', '22:23', 'expected a regular expression'],
      ['modules[4].config.power_levle', /^25:/, 'power_levle'],
      ['modules[5].config.users["@a:example.com"]', '30:27', 'expected ALL or a list of user ids'],
    ],
  );
  t.equal(problems.length, 6);
});
