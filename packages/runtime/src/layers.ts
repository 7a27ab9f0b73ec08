// The layers of containment, by name. A test takes one off to see the attack succeed that it stops: so a test of a defence is
// known to be able to fail. Nothing else may call `takeOff`, and no package exports it.

export const layerNames = [
  /** Permission flags of the hull's process. */
  'hull_flags',
  /** Permission flags of each cell's own. */
  'cell_flags',
  /** What the operating system adds around a hull. */
  'sandbox',
  /** The removal of what reaches other processes. */
  'signals',
  /** SES: frozen intrinsics and a compartment. */
  'ses',
  /** The end of a cell that gives no sign of life. */
  'vigil',
  /** The end of a hull with a thread that does not let itself be ended. */
  'escalation',
  /** The pause for a module that fails again and again. */
  'breaker',
  /** The guard in front of Comlink. */
  'comlink_guard',
  /** The limits of records' sizes, on the host. */
  'record_limits',
  /** The share of the host's time that a cell may take. */
  'host_time',
  /** The end of a cell that uses more memory than it may. */
  'memory',
] as const;
export type Layer = (typeof layerNames)[number];

const off = new Set<Layer>();

export const layers = {
  has: (layer: Layer): boolean => !off.has(layer),
  /** For tests alone. */
  takeOff(...taken: readonly Layer[]): void {
    for (const layer of taken) off.add(layer);
  },
  /** Those that are off: hulls and cells have to be told. */
  off: (): readonly Layer[] => [...off],
};
