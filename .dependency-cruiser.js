// Who may import whom. The picture of it is in docs/contributors.md.

const runtime = '^packages/runtime/src/';
const room = (...names) => `${runtime}(${names.join('|')})(/|\\.ts$)`;
/** What authors test with runs the runtime, which they install beside it. */
const testKit = '^packages/sdk/(src|dist)/testing/';
const sdk = '^(packages/sdk/|@bulkhead/sdk)';
/** Node's own modules that start something, or are the other end of what was started. */
const threadsAndProcesses = '^(node:)?(child_process|cluster|worker_threads)$';

/** `from` may import nothing but `to`; Node's own modules and what `npm` lists come on top. */
const only = ({ name, comment, from, to, npm = [], core = true }) => ({
  name,
  comment,
  severity: 'error',
  from: typeof from === 'string' ? { path: from } : from,
  to: {
    pathNot: [...to, ...npm.map((each) => `(^|/)node_modules/(@types/)?${each}(/|$)`)],
    ...(core ? { dependencyTypesNot: ['core'] } : {}),
  },
});

const never = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

export default {
  forbidden: [
    // Between packages: examples -> runtime -> sdk -> valibot
    only({
      name: 'sdk-needs-valibot-alone',
      comment: 'The contract is what modules are bundled with.',
      from: { path: '^packages/sdk/src/', pathNot: testKit },
      to: ['^packages/sdk/src/'],
      npm: ['valibot'],
      core: false,
    }),
    never(
      'no-way-back-to-examples-and-tests',
      'Packages that are published know nothing of those that are not.',
      { path: '^packages/(sdk|runtime)/' },
      { path: '^(packages/examples/|tests/|@bulkhead/examples)' },
    ),
    never(
      'no-way-back-to-runtime',
      'The contract knows nothing of who keeps it.',
      { path: '^packages/sdk/', pathNot: testKit },
      { path: '^(packages/runtime/|@bulkhead/runtime)' },
    ),
    never(
      'the-test-kit-is-for-tests',
      'It is the one part of the sdk that needs the runtime.',
      { path: '^packages/', pathNot: testKit },
      { path: testKit },
    ),
    never(
      'packages-by-their-names',
      'Another package is what it exports.',
      { path: '^packages/([^/]+)/' },
      { path: '^packages/', pathNot: ['^packages/$1/', '^packages/[^/]+/dist/'] },
    ),
    never(
      'modules-need-the-sdk-alone',
      'An example module is what an author would write: it has no way to the runtime or the homeserver.',
      { path: '^packages/examples/modules/' },
      { path: '^(packages/runtime/|@bulkhead/runtime|packages/examples/homeserver/)' },
    ),

    // Inside the runtime
    only({
      name: 'wire-stands-alone',
      comment: 'It is on both sides of the line.',
      from: room('wire'),
      to: [room('wire'), sdk],
    }),
    only({
      name: 'dispatch-knows-the-wire-alone',
      comment: 'No threads, no processes, no configuration: a module is something that can be asked.',
      from: room('dispatch'),
      to: [room('dispatch', 'wire', 'layers'), sdk],
      npm: ['valibot'],
    }),
    only({
      name: 'config-stands-alone',
      comment: 'A file in, entries out. How granted hosts and paths are spelled is said where grants are checked.',
      from: room('config'),
      to: [room('config'), `${runtime}api/(hosts|paths)\\.ts$`, sdk],
      npm: ['valibot', 'yaml', 'picocolors'],
    }),
    only({
      name: 'loading-knows-config-alone',
      comment: 'A specifier in, a script out.',
      from: room('loading'),
      to: [room('loading', 'config'), sdk],
      npm: ['esbuild', 'valibot', '@endo/evasive-transform', '@jridgewell/sourcemap-codec'],
    }),
    only({
      name: 'integrity-looks-on',
      comment: 'It says what a module is, and what it should be; it starts none.',
      from: room('integrity'),
      to: [room('integrity', 'config', 'loading'), sdk],
      npm: ['valibot', 'yaml'],
    }),
    only({
      name: 'inside-has-no-power',
      comment: 'It runs in the compartment: a Node module would not be there.',
      from: `${runtime}cell/inside/`,
      to: [`${runtime}(cell/inside|wire)/`, sdk],
      npm: ['comlink'],
      core: false,
    }),
    only({
      name: 'cell-knows-the-wire-alone',
      comment: 'Nothing of the host is loaded into a cell.',
      from: room('cell'),
      to: [room('cell', 'wire', 'layers'), sdk],
      npm: ['comlink', 'ses', 'web-streams-polyfill'],
    }),
    never(
      'outside-takes-only-types-from-inside',
      'The inside is bundled with the module, never with the bootstrap.',
      { path: room('cell'), pathNot: `${runtime}cell/inside/` },
      { path: `${runtime}cell/inside/`, dependencyTypesNot: ['type-only'] },
    ),
    only({
      name: 'hull-knows-the-task-alone',
      comment: 'Nothing of the host is loaded into a hull.',
      from: room('hull'),
      to: [room('hull', 'wire', 'layers'), `${runtime}cell/task\\.ts$`, sdk],
      npm: ['piscina', 'valibot'],
    }),
    never(
      'api-is-served-not-serving',
      'The host end of the ModuleApi does not reach for who keeps the cells.',
      { path: room('api', 'observe') },
      { path: room('supervision', 'hull', 'cell', 'web', 'loading', 'runtime', 'index') },
    ),
    never(
      'web-knows-only-the-shape-of-a-life',
      'Requests go over the channel of a life; starting and ending one is not their business.',
      { path: room('web') },
      { path: room('supervision', 'hull', 'cell', 'runtime', 'index'), dependencyTypesNot: ['type-only'] },
    ),
    never(
      'supervision-is-used-not-using',
      'It does not know what the embedder sees, nor the web.',
      { path: room('supervision') },
      { path: room('web', 'runtime', 'index') },
    ),
    never(
      'no-facade-below',
      'The facade is made of types that rooms may name.',
      { path: runtime, pathNot: [room('runtime', 'index', 'cli')] },
      { path: room('modules'), dependencyTypesNot: ['type-only'] },
    ),
    never(
      'nothing-imports-cli',
      'It is a program.',
      { path: '^(packages|tests)/', pathNot: room('cli') },
      { path: room('cli') },
    ),

    // Power
    never(
      'only-supervision-spawns',
      'One room starts processes.',
      { path: runtime, pathNot: room('supervision') },
      { path: '^(node:)?(child_process|cluster)$' },
    ),
    never(
      'only-the-hull-has-the-pool',
      'One room starts threads.',
      { path: runtime, pathNot: room('hull') },
      { path: '(^|/)node_modules/piscina/' },
    ),
    never(
      'threads-are-known-where-they-are-kept',
      'Supervision, the hull, and a cell for its own end; elsewhere a thread is a carrier.',
      { path: runtime, pathNot: [room('supervision', 'hull'), `${runtime}cell/bootstrap\\.ts$`] },
      { path: threadsAndProcesses, dependencyTypesNot: ['type-only'] },
    ),
    never(
      'not-even-types-of-threads',
      'Only the carrier and the task name a port.',
      {
        path: runtime,
        pathNot: [room('supervision', 'hull'), `${runtime}(cell/(bootstrap|task)|wire/carrier)\\.ts$`],
      },
      { path: threadsAndProcesses },
    ),

    // Everywhere
    never(
      'no-cycles',
      'Cycles of types alone are none at run time.',
      {},
      {
        circular: true,
        viaOnly: { dependencyTypesNot: ['type-only'] },
      },
    ),
    never(
      'declared-dependencies',
      'What is imported stands in the manifest.',
      { path: '^packages/[^/]+/(src|homeserver|modules)/' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'npm-optional'], dependencyTypesNot: ['npm-peer'] },
    ),
    never(
      'resolvable',
      'Everything that is imported is there.',
      {},
      {
        couldNotResolve: true,
        // There are versions of Node for which the last is not built.
        pathNot: ['^@bulkhead/', '^#', '^isolated-vm$'],
      },
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    doNotFollow: { path: '(^|/)(node_modules|dist)/' },
    exclude: { path: ['(^|/)(\\.tap|\\.scratch|fixtures)/', '^packages/[^/]+/dist/.*\\.js$', '^tests/dist/'] },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
