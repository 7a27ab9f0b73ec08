// The list of decisions, newest first: what was asked and allowed in short, what was not with its reason.

import { clock, count, cut, el, find, ms, said } from './dom.js';

/** @import { Asked, Report, Ruling } from '../report.js' */

const MOST_ROWS = 150;
/** Rows that say the same within this time are one. */
const SAME_MS = 2_000;
/** Asked with every request and every sync. */
const ROUTINE = ['isUserExpired', 'getInterestedUsers', 'getUsersForStates'];

const list = find('decisions', HTMLOListElement);
const routine = find('routine', HTMLInputElement);

routine.addEventListener('change', () => list.classList.toggle('all', routine.checked));

/** @param {Report} report */
export function showDecisions({ at, asked, rulings, watches, omitted }) {
  for (const [callback, calls] of byCallback(asked)) showCalls(at, callback, calls);
  for (const ruling of rulings) add(rulingRow(at, ruling));
  for (const { module, limit, action, used, allowed } of watches) {
    const share = (/** @type {number} */ value) =>
      limit === 'memory' ? `${(value / 2 ** 20).toFixed(1)} MiB` : `${Math.round(value * 100)} %`;
    add(row(at, 'failed', el('b', {}, name(module)), ` is ${action}: ${share(used)} of ${share(allowed)} (${limit})`));
  }
  if (omitted > 0) add(row(at, 'note', `${count(omitted)} more were too many to show`));
  while (list.children.length > MOST_ROWS) list.lastElementChild?.remove();
}

/** @typedef {{ at: number, element: Element, calls: Map<string, Asked> }} Recent */

/** What was asked lately, by callback and by how it ended. @type {Map<string, Recent>} */
const recent = new Map();

/**
 * @param {number} at
 * @param {string} callback
 * @param {readonly Asked[]} calls
 */
function showCalls(at, callback, calls) {
  const key = `${callback} ${[...new Set(calls.map(({ result }) => result))].sort().join()}`;
  const last = recent.get(key);
  const isSame = last !== undefined && at - last.at < SAME_MS && last.element.isConnected;
  const sums = isSame ? last.calls : new Map();
  for (const call of calls) addUp(sums, call);
  const since = isSame ? last.at : at;
  const element = callsRow(since, callback, [...sums.values()]);
  if (isSame) {
    if (last.element.querySelector('details')?.open) element.querySelector('details')?.setAttribute('open', '');
    last.element.replaceWith(element);
  } else add(element);
  recent.set(key, { at: since, element, calls: sums });
}

/**
 * @param {Map<string, Asked>} sums
 * @param {Asked} call
 */
function addUp(sums, call) {
  const key = JSON.stringify([call.module, call.result]);
  const sum = sums.get(key);
  const added = sum && {
    ...call,
    count: sum.count + call.count,
    slowestMs: Math.max(sum.slowestMs, call.slowestMs),
  };
  sums.set(key, added ?? call);
}

/**
 * @param {number} at
 * @param {string} callback
 * @param {readonly Asked[]} calls
 */
function callsRow(at, callback, calls) {
  const most = Math.max(...calls.map((call) => call.count));
  const slowest = Math.max(...calls.map(({ slowestMs }) => slowestMs));
  const summary = el(
    'summary',
    {},
    el('span.ms', {}, ms(slowest)),
    el('code', {}, callback),
    ...answers(calls),
    most > 1 && ` ×${count(most)}`,
  );
  const each = el('ul', {}, ...calls.map((call) => callItem(call)));
  const isRoutine = ROUTINE.includes(callback) && calls.every(({ result }) => result === 'allow');
  return row(at, isRoutine ? 'routine' : 'asked', el('details', {}, summary, each));
}

/**
 * Who answered what, those who allow last.
 * @param {readonly Asked[]} calls
 */
function answers(calls) {
  const those = [...new Set(calls.map(({ result }) => result))].sort((a, b) => rank(a) - rank(b));
  return those.flatMap((result, index) => {
    const [first, ...others] = calls.filter((call) => call.result === result);
    const isOne = others.length === 0;
    const who = isOne && first ? name(first.module) : `${others.length + 1} modules`;
    return [index === 0 ? ' ' : ', ', who, ` ${verb(result, isOne)}`];
  });
}

const rank = (/** @type {string} */ result) => Number(result === 'allow');

/**
 * @param {string} result
 * @param {boolean} isOne
 */
function verb(result, isOne) {
  if (result === 'allow') return isOne ? 'allows' : 'allow';
  if (result === 'reject') return isOne ? 'refuses' : 'refuse';
  return `failed (${result.replaceAll('_', ' ')})`;
}

/** @param {Asked} call */
function callItem({ module, result, count: times, slowestMs }) {
  const often = times > 1 ? ` ×${count(times)}, the slowest` : '';
  const words = ` ${verb(result, true)}${often}`;
  return el('li', { 'data-result': result }, el('span.ms', {}, ms(slowestMs)), name(module), words);
}

const VERDICTS = {
  refused: 'refuses',
  failed: 'failed, so it is refused',
  overlooked: 'failed, and is overlooked',
  replaced: 'rewrites the event',
  shadow_banned: 'shadow-bans',
};

/**
 * @param {number} at
 * @param {Ruling} ruling
 */
function rulingRow(at, { callback, about, verdict, module, told, failure, durationMs }) {
  const head = el(
    'p',
    {},
    el('span.ms', {}, ms(durationMs)),
    el('code', {}, callback),
    ' ',
    el('b', {}, name(module)),
    ` ${VERDICTS[verdict]}`,
  );
  const why = failure && el('p.why', {}, `${failure.kind.replaceAll('_', ' ')}: `, said(failure.message));
  const answer = el('p.told', {}, el('bdi', {}, cut(about, 300)), ' → ', said(told));
  return row(at, verdict, head, ...(why ? [why] : []), answer);
}

/**
 * @param {number} at
 * @param {string} kind
 * @param {...(Node | string)} children
 */
const row = (at, kind, ...children) =>
  el('li', { 'data-kind': kind }, el('time', {}, clock(at)), el('div', {}, ...children));

const name = (/** @type {string} */ module) => el('bdi', {}, cut(module, 60));

/** @param {Element} element */
function add(element) {
  // Who reads further down is not to lose the place.
  const { scrollTop } = list;
  list.prepend(element);
  if (scrollTop > 0) list.scrollTop = scrollTop + element.getBoundingClientRect().height;
}

/** @param {readonly Asked[]} asked */
function byCallback(asked) {
  /** @type {Map<string, Asked[]>} */
  const groups = new Map();
  for (const call of asked) {
    const group = groups.get(call.callback);
    if (group) group.push(call);
    else groups.set(call.callback, [call]);
  }
  return groups;
}
