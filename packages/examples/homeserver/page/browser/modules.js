// The table of modules: how they are, once a second.

import { count, cut, el, find } from './dom.js';

/** @import { ModuleLine } from '../report.js' */

const table = find('modules', HTMLTableSectionElement);
/** @type {ReadonlyMap<string, ModuleLine>} */
let before = new Map();

/** @param {readonly ModuleLine[]} modules */
export function showModules(modules) {
  table.replaceChildren(...modules.map((module) => row(module, before.get(module.id))));
  before = new Map(modules.map((module) => [module.id, module]));
}

/**
 * @param {ModuleLine} module
 * @param {ModuleLine | undefined} previous
 */
function row({ id, state, cause, calls, failures, restarts, memory, cpu, hullPid }, previous) {
  const where = hullPid === undefined ? '' : `, process ${hullPid}`;
  const tr = el(
    'tr',
    { 'data-module': id, 'data-state': state, title: cut(`${cause}${where}`, 500) },
    el('th', { scope: 'row' }, el('bdi', {}, cut(id, 60))),
    el('td', {}, el('span.state', {}, state)),
    el('td', {}, count(calls)),
    el('td', {}, failures === 0 ? '–' : count(failures)),
    el('td', {}, restarts === 0 ? '–' : count(restarts)),
    el('td', {}, memory === undefined ? '–' : `${(memory / 2 ** 20).toFixed(1)} MiB`),
    el('td', {}, `${Math.round(cpu * 100)} %`),
  );
  if (previous && previous.failures < failures) tr.children[3]?.classList.add('fresh');
  if (previous && previous.restarts < restarts) tr.children[4]?.classList.add('fresh');
  return tr;
}
