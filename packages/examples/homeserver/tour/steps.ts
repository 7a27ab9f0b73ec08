// A step of the tour says what a client does and what should come of it; what does come is printed beside it.

import picocolors from 'picocolors';

/** No step takes so long, however busy the machine. */
const STEP_MS = 30_000;

export class Steps {
  #failed = 0;
  #passed = 0;

  get allPassed(): boolean {
    return this.#failed === 0 && this.#passed > 0;
  }

  get counts(): { readonly passed: number; readonly failed: number } {
    return { passed: this.#passed, failed: this.#failed };
  }

  chapter(title: string): void {
    print(`\n${picocolors.bold(title)}`);
  }

  /** Runs a step. It passes when `run` returns what it saw, and fails when that throws. */
  async step(what: string, run: () => Promise<string>): Promise<void> {
    const startedAt = performance.now();
    try {
      const seen = await Promise.race([run(), tooLong()]);
      this.#passed++;
      this.#line(picocolors.green('✓'), what, startedAt);
      print(picocolors.dim(`      ${seen}`));
    } catch (error) {
      this.#failed++;
      this.#line(picocolors.red('✗'), what, startedAt);
      print(picocolors.red(`      ${error instanceof Error ? error.message : error}`));
    }
  }

  #line(mark: string, what: string, startedAt: number): void {
    print(`  ${mark} ${what} ${picocolors.dim(`${Math.round(performance.now() - startedAt)} ms`)}`);
  }
}

/** Throws with both values when they differ. */
export function expect(what: string, got: unknown, expected: unknown): void {
  if (JSON.stringify(got) === JSON.stringify(expected)) return;
  throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

export function expectThat(what: string, holds: boolean): void {
  if (!holds) throw new Error(`this should hold: ${what}`);
}

function tooLong(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`nothing came of it within ${STEP_MS / 1000} s`)), STEP_MS).unref();
  });
}

export const print = (text: string): void => void process.stdout.write(`${text}\n`);
