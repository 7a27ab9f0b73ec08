// What Prometheus is told of the modules: everything that `status()` and the events say, by module.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ModuleStatus, Modules } from '../modules.js';

/** Seconds. A call that crosses to a cell and back takes a fifth of a millisecond; a deadline is some seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Read when Prometheus asks. */
const gauges: Readonly<Record<string, readonly [help: string, read: (status: ModuleStatus) => number | undefined]>> = {
  bulkhead_module_up: ['1 while the module answers, 0 otherwise', ({ state }) => (state === 'running' ? 1 : 0)],
  bulkhead_module_calls_in_flight: ['Calls that the module was asked and has not answered', ({ inFlight }) => inFlight],
  bulkhead_module_api_calls_in_flight: [
    'Calls of the ModuleApi that the host is working on',
    ({ apiCalls }) => apiCalls,
  ],
  bulkhead_module_cpu_ratio: ['Share of the last second in which its thread was busy', ({ cpu }) => cpu],
  bulkhead_module_memory_bytes: ['Heap and external memory of its cell', ({ memory }) => memory],
};

/**
 * Registers the metrics of the modules, with the registry of prom-client that the homeserver has anyway.
 * @returns takes them out of it
 */
export function registerMetrics(modules: Modules, registry: Registry): () => void {
  const registers = [registry];
  const calls = new Histogram({
    name: 'bulkhead_call_duration_seconds',
    help: 'How long calls of callbacks took, by how they ended: allow, reject, or the kind of failure',
    labelNames: ['module', 'callback', 'result'],
    buckets: BUCKETS,
    registers,
  });
  const changes = new Counter({
    name: 'bulkhead_module_state_changes_total',
    help: 'How often a module came into a state, such as restarting or parked',
    labelNames: ['module', 'state'],
    registers,
  });
  const watches = new Counter({
    name: 'bulkhead_watchdog_total',
    help: 'How often the watchdog found a module at a limit, and what it did',
    labelNames: ['module', 'limit', 'action'],
    registers,
  });
  const hulls = new Counter({
    name: 'bulkhead_hull_exits_total',
    help: 'How often a hull ended, by whether it is known who did it',
    labelNames: ['known'],
    registers,
  });
  for (const [name, [help, read]] of Object.entries(gauges)) {
    new Gauge({
      name,
      help,
      labelNames: ['module'],
      registers,
      collect() {
        // A module that is configured no more is not told of.
        this.reset();
        for (const status of modules.status()) {
          const value = read(status);
          if (value !== undefined) this.set({ module: status.id }, value);
        }
      },
    });
  }
  const unsubscribe = [
    modules.on('call', ({ module, callback, result, durationMs }) =>
      calls.observe({ module, callback, result }, durationMs / 1000),
    ),
    modules.on('cell', ({ module, state }) => changes.inc({ module, state })),
    modules.on('watch', ({ module, limit, action }) => watches.inc({ module, limit, action })),
    modules.on('hull', ({ known }) => hulls.inc({ known: String(known) })),
  ];
  return () => {
    for (const off of unsubscribe) off();
    for (const { name } of registry.getMetricsAsArray()) {
      if (name.startsWith('bulkhead_')) registry.removeSingleMetric(name);
    }
  };
}
