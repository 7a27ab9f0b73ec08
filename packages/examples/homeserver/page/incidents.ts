// From single events to what happened: which modules were lost together, and how long it took until they were back.

import type { ModuleEvents } from '@bulkhead/runtime';
import type { Incident } from './report.js';

interface Open {
  readonly startedAt: number;
  incident: Incident;
}

export class Incidents {
  readonly #tell: (incident: Incident) => void;
  readonly #countModules: () => number;
  /** By module; no more than there are modules. */
  readonly #open = new Map<string, Open>();
  /** Lost in this turn: the end of their hull, if that was it, is told within it. */
  #justLost: ModuleEvents['cell'][] = [];
  #lastId = 0;

  /** @param tell called whenever an incident begins or changes */
  constructor(tell: (incident: Incident) => void, countModules: () => number) {
    this.#tell = tell;
    this.#countModules = countModules;
  }

  cell(event: ModuleEvents['cell']): void {
    const { module, state } = event;
    const open = this.#open.get(module);
    if (open && state === 'running') this.#back(module, open);
    // It was taken out of the configuration meanwhile: nobody waits for it.
    if (state === 'stopped') this.#open.delete(module);
    if (open || (state !== 'restarting' && state !== 'parked')) return;
    if (this.#justLost.length === 0) queueMicrotask(() => this.#lostAlone());
    this.#justLost.push(event);
  }

  hull({ pid, cause, modules, known }: ModuleEvents['hull']): void {
    const lost = this.#justLost.splice(0).map(({ module }) => module);
    if (lost.length > 0) this.#begin(cause, lost, { pid, culprits: modules, known });
  }

  #lostAlone(): void {
    for (const { module, cause } of this.#justLost.splice(0)) this.#begin(cause, [module]);
  }

  #begin(cause: string, lost: readonly string[], hull?: Incident['hull']): void {
    const incident = {
      id: ++this.#lastId,
      cause,
      ...(hull && { hull }),
      lost,
      undisturbed: this.#countModules() - lost.length,
      waiting: lost,
      backMs: 0,
    };
    const open = { startedAt: performance.now(), incident };
    for (const module of lost) this.#open.set(module, open);
    this.#tell(incident);
  }

  #back(module: string, open: Open): void {
    this.#open.delete(module);
    const { incident, startedAt } = open;
    open.incident = {
      ...incident,
      waiting: incident.waiting.filter((id) => id !== module),
      backMs: performance.now() - startedAt,
    };
    this.#tell(open.incident);
  }
}
