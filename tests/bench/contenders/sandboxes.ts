// Other ways to run code that is not trusted: WebAssembly and isolates, all of them in the homeserver's own process.

import { readFile } from 'node:fs/promises';
import { createPlugin } from '@extism/extism';
import { getQuickJS, type QuickJSHandle } from 'quickjs-emscripten';

import { type Contender, worker } from './contender.ts';
import { compilePlugin } from './extism-plugin.ts';

export async function startExtism(): Promise<Contender> {
  const plugin = await createPlugin({ wasm: [{ data: await compilePlugin() }] }, { useWasi: true, runInWorker: false });
  let calls = 0;
  const check = async (event: unknown): Promise<boolean> => {
    // Blocks of memory are numbered, and the numbers end.
    if (++calls % RESET_AFTER === 0) await plugin.reset();
    return (await plugin.call('check', JSON.stringify(event)))?.bytes()[0] === 1;
  };
  // It takes one call at a time.
  let last: Promise<unknown> = Promise.resolve();
  return {
    ask(event) {
      const answer = last.then(() => check(event));
      last = answer;
      return answer;
    },
    close: () => plugin.close(),
  };
}

const RESET_AFTER = 5_000;

/** The module's file as a script, for sandboxes that have no modules. */
async function script(): Promise<string> {
  return (await readFile(worker('word-list.js'), 'utf8')).replaceAll(/^export /gm, '');
}

export async function startQuickjs(): Promise<Contender> {
  const context = (await getQuickJS()).newContext();
  const check: QuickJSHandle = context.unwrapResult(
    context.evalCode(`${await script()}; (text) => isSpam(JSON.parse(text))`),
  );
  return {
    async ask(event) {
      const text = context.newString(JSON.stringify(event));
      const answer = context.unwrapResult(context.callFunction(check, context.undefined, text));
      const spam = context.dump(answer) as boolean;
      text.dispose();
      answer.dispose();
      return spam;
    },
    async close() {
      check.dispose();
      context.dispose();
    },
  };
}

export async function startIsolatedVm(): Promise<Contender> {
  // Built for some versions of Node alone.
  const { default: ivm } = await import('isolated-vm');
  const isolate = new ivm.Isolate({ memoryLimit: 64 });
  const context = await isolate.createContext();
  const check = await context.eval(`${await script()}; (text) => isSpam(JSON.parse(text))`, { reference: true });
  return {
    ask: (event) => check.apply(undefined, [JSON.stringify(event)]) as Promise<boolean>,
    close: async () => isolate.dispose(),
  };
}
