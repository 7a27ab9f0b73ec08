// `console` for modules: Node's own leads to the process's streams. Lines go to the host's log under the module's id.

import { outbox } from './outbox.js';

export function installConsole(): void {
  const at =
    (level: number) =>
    (...values: unknown[]): void =>
      outbox.log(level, values.map(show).join(' '));
  const console = {
    trace: at(0),
    debug: at(0),
    log: at(1),
    info: at(1),
    warn: at(2),
    error: at(3),
    assert: (condition: unknown, ...values: unknown[]): void => {
      if (!condition) outbox.log(3, ['Assertion failed', ...values.map(show)].join(' '));
    },
  };
  Object.defineProperty(globalThis, 'console', { value: Object.freeze(console), writable: true, configurable: true });
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== 'object' || value === null) return String(value);
  const seen = new Set<unknown>();
  try {
    return JSON.stringify(value, (_, item: unknown) => {
      if (typeof item === 'bigint') return `${item}n`;
      if (typeof item !== 'object' || item === null) return item;
      if (seen.has(item)) return '[seen above]';
      seen.add(item);
      if (item instanceof Map) return { Map: [...item] };
      if (item instanceof Set) return { Set: [...item] };
      return item instanceof Error ? `${item.name}: ${item.message}` : item;
    });
  } catch {
    return Object.prototype.toString.call(value);
  }
}
