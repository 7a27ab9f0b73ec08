// Puts the page together: somebody comes in, the room is shown, and the modules are watched all the while.

import { Chat } from './chat.js';
import { showDecisions } from './decisions.js';
import { find, said } from './dom.js';
import { follow } from './feed.js';
import { forgetIncidents, showIncident } from './incidents.js';
import { Client, login, MatrixError, register } from './matrix.js';
import { showModules } from './modules.js';

/** @import { Session } from './matrix.js' */
/** @import { Report } from '../report.js' */

const SESSION = 'session';
const aliases = ['lobby', 'lobby-2', 'lobby-3'].map((name) => `#${name}:${document.documentElement.dataset.server}`);

const entrance = find('entrance', HTMLElement);
const form = /** @type {HTMLFormElement} */ (entrance.querySelector('form'));
const complaint = /** @type {HTMLElement} */ (entrance.querySelector('[role=alert]'));
const room = find('chat', HTMLElement);
const account = find('account', HTMLElement);
const feedState = find('feed-state', HTMLElement);

/** @type {{ client: Client, chat: Chat, leave: AbortController } | undefined} */
let present;
let feed = new AbortController();
/** By whose token the modules are watched; `null`: they are not. @type {string | null | undefined} */
let watchedBy = null;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { value } = /** @type {HTMLButtonElement} */ (event.submitter);
  const data = new FormData(form);
  const name = String(data.get('username')).trim();
  const password = String(data.get('password'));
  await complaining(async () => comeIn(await (value === 'login' ? login : register)(name, password)));
});

find('logout', HTMLButtonElement).addEventListener('click', () => {
  void present?.client.logout().catch(() => {});
  goOut();
});

find('tricks', HTMLElement).addEventListener('click', ({ target }) => {
  const message = target instanceof HTMLElement ? target.dataset.message : undefined;
  if (message !== undefined) void present?.chat.say(message);
});

// A window that nobody sees does without the feed: browsers allow six connections for all windows together.
document.addEventListener('visibilitychange', watch);

/** @param {() => Promise<void>} attempt */
async function complaining(attempt) {
  const fields = [...form.querySelectorAll('button')];
  for (const field of fields) field.disabled = true;
  complaint.hidden = true;
  try {
    await attempt();
  } catch (error) {
    goOut();
    complaint.replaceChildren(said(error instanceof Error ? error.message : String(error)));
    complaint.hidden = false;
  } finally {
    for (const field of fields) field.disabled = false;
  }
}

/** @param {Session} session */
async function comeIn(session) {
  const client = new Client(session);
  const { roomId, alias } = await client.enter(aliases, 'Lobby');
  // Of this window alone, so that the next one may be somebody else.
  sessionStorage.setItem(SESSION, JSON.stringify(session));
  const chat = new Chat(client, roomId);
  const leave = new AbortController();
  present = { client, chat, leave };
  find('room', HTMLElement).textContent = alias;
  find('me', HTMLElement).textContent = client.userId;
  show(true);
  find('message', HTMLInputElement).focus({ preventScroll: true });
  watch();
  chat.run(leave.signal).catch((error) => complaining(() => Promise.reject(error)));
}

function goOut() {
  present?.leave.abort();
  present = undefined;
  sessionStorage.removeItem(SESSION);
  show(false);
  watch();
}

/** @param {boolean} isIn */
function show(isIn) {
  entrance.hidden = isIn;
  room.hidden = !isIn;
  account.hidden = !isIn;
}

/** Anew whenever who watches has changed, or whether anybody does. */
function watch() {
  const token = document.hidden ? null : present?.client.accessToken;
  if (token === watchedBy) return;
  watchedBy = token;
  feed.abort();
  if (token === null) return;
  feed = new AbortController();
  forgetIncidents();
  void follow(new URL('feed', import.meta.url).href, {
    token,
    signal: feed.signal,
    onReport: showReport,
    onState: (state) => {
      feedState.hidden = state === undefined;
      feedState.textContent = state ?? '';
    },
  });
}

/** @param {Report} report */
function showReport(report) {
  if (report.modules) showModules(report.modules);
  for (const incident of report.incidents) showIncident(incident, report.at);
  showDecisions(report);
}

/** @returns {Session | undefined} */
function remembered() {
  const text = sessionStorage.getItem(SESSION);
  return text === null ? undefined : JSON.parse(text);
}

const session = remembered();
if (session) {
  comeIn(session).catch((error) => {
    if (error instanceof MatrixError) sessionStorage.removeItem(SESSION);
    watch();
  });
} else watch();
