// What became of modules that were lost, the latest first.

import { clock, cut, el, find, ms } from './dom.js';

/** @import { Incident } from '../report.js' */

const MOST = 2;
const cards = find('incidents', HTMLDivElement);

/**
 * @param {Incident} incident
 * @param {number} at
 */
export function showIncident(incident, at) {
  const id = `incident-${incident.id}`;
  const known = document.getElementById(id);
  const began = Number(known?.dataset.at ?? at);
  const card = el(
    'article',
    { id, 'data-at': String(began), 'data-over': String(incident.waiting.length === 0) },
    el('h3', {}, el('time', {}, clock(began)), ' ', title(incident)),
    el('p.cause', {}, cut(incident.cause, 300)),
    el('p', {}, fate(incident)),
  );
  if (known) known.replaceWith(card);
  else cards.prepend(card);
  while (cards.children.length > MOST) cards.lastElementChild?.remove();
}

/** Ids begin anew with each connection. */
export const forgetIncidents = () => cards.replaceChildren();

/** @param {Incident} incident */
function title({ hull, lost }) {
  if (!hull) return `${cut(lost.join(', '), 100)} was ended`;
  const who = cut(hull.culprits.join(', '), 100) || 'nobody is suspected';
  return `Process ${hull.pid} is gone; ${hull.known ? 'culprit' : 'suspects'}: ${who}`;
}

/** @param {Incident} incident */
function fate({ lost, waiting, backMs, undisturbed }) {
  const others = undisturbed === 0 ? '' : `, ${undisturbed} others undisturbed`;
  const back = lost.length - waiting.length;
  if (waiting.length === 0) return `${back === 1 ? 'Back' : `All ${back} modules back`} after ${ms(backMs)}${others}.`;
  const rest = `waiting for ${cut(waiting.join(', '), 200)}${others}.`;
  return back === 0 ? `${rest[0]?.toUpperCase()}${rest.slice(1)}` : `${back} back after ${ms(backMs)}, ${rest}`;
}
