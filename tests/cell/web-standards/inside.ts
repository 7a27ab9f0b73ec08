// Runs in the compartment: every check, one after the other. Its value is what came of each.

import { events } from './checks/events.js';
import { fetchClasses } from './checks/fetch.js';
import { language } from './checks/language.js';
import { objects } from './checks/objects.js';
import { streams } from './checks/streams.js';

export interface Outcome {
  readonly name: string;
  readonly error?: string;
}

export async function runChecks(): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const checks: Record<string, () => unknown> = { ...language, ...objects, ...events, ...fetchClasses, ...streams };
  for (const [name, check] of Object.entries(checks)) {
    try {
      await inTime(check());
      outcomes.push({ name });
    } catch (error) {
      outcomes.push({ name, error: String(error) });
    }
  }
  return outcomes;
}

/** A check that never settles is a failure with a name, not a process that ends without a word. */
function inTime(check: unknown): Promise<unknown> {
  let timer: unknown;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('took too long')), 5000);
  });
  return Promise.race([check, late]).finally(() => clearTimeout(timer as number));
}
