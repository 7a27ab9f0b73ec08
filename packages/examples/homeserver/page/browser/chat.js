// The room: its messages, and a line to write one. A message stands there as soon as it is written; what becomes of it is
// shown where it stands.

import { clock, cut, el, find, said } from './dom.js';
import { MatrixError } from './matrix.js';

/** @import { Client, RoomEvent, RoomNews } from './matrix.js' */

const MOST_ROWS = 400;
const COLOURS = 6;

const timeline = find('timeline', HTMLOListElement);
const composer = find('composer', HTMLFormElement);
const input = find('message', HTMLInputElement);

export class Chat {
  /** @type {Map<string, string>} */
  #names = new Map();
  /** By transaction id: what was written here and has not come back. @type {Map<string, { row: Element, body: string }>} */
  #written = new Map();
  #session = Math.random().toString(36).slice(2);
  #transactions = 0;

  /**
   * @param {Client} client
   * @param {string} roomId
   */
  constructor(client, roomId) {
    this.client = client;
    this.roomId = roomId;
  }

  /**
   * Shows the room until the signal fires.
   * @param {AbortSignal} signal
   * @throws MatrixError when the session is no longer good
   */
  async run(signal) {
    timeline.replaceChildren();
    composer.addEventListener('submit', (event) => this.#submit(event), { signal });
    for await (const news of this.client.news(this.roomId, signal)) this.#show(news);
  }

  /** @param {string} body */
  async say(body) {
    const transaction = `${this.#session}.${++this.#transactions}`;
    const row = this.#row(this.client.userId, Date.now(), body);
    row.setAttribute('data-state', 'sending');
    this.#written.set(transaction, { row, body });
    append(row, true);
    try {
      await this.client.say(this.roomId, body, transaction);
      if (row.getAttribute('data-state') === 'sending') row.removeAttribute('data-state');
    } catch (error) {
      this.#written.delete(transaction);
      this.#refused(row, body, error);
    }
  }

  /** @param {SubmitEvent} event */
  #submit(event) {
    event.preventDefault();
    const body = input.value.trim();
    if (body === '') return;
    input.value = '';
    void this.say(body);
  }

  /**
   * @param {Element} row
   * @param {string} body
   * @param {unknown} error
   */
  #refused(row, body, error) {
    row.setAttribute('data-state', 'refused');
    const why = error instanceof Error ? error.message : String(error);
    const code = error instanceof MatrixError ? `${error.status} ${error.errcode}` : 'not sent';
    const again = el('button', { type: 'button' }, 'Send again');
    again.addEventListener('click', () => {
      row.remove();
      input.focus();
      void this.say(body);
    });
    const atEnd = isAtEnd();
    row.lastElementChild?.append(el('p.refusal', { role: 'alert' }, el('code', {}, code), ' ', said(why), ' ', again));
    if (atEnd) toEnd();
  }

  /** @param {RoomNews} news */
  #show({ state, timeline: { events, limited } }) {
    for (const event of state.events) this.#learnName(event);
    if (limited && timeline.children.length > 0) append(note('Some messages in between are not shown'));
    for (const event of events) {
      if (event.type === 'm.room.member') this.#showMember(event);
      if (event.type === 'm.room.message' && typeof event.content.body === 'string') this.#showMessage(event);
    }
  }

  /** @param {RoomEvent} event */
  #showMember(event) {
    const { content, state_key = '', unsigned } = event;
    this.#learnName(event);
    const before = unsigned?.prev_content?.membership ?? 'leave';
    if (content.membership === before) return;
    const verbs = /** @type {Record<string, string>} */ ({ join: 'is here', leave: 'has left', invite: 'is invited' });
    const verb = verbs[String(content.membership)];
    if (verb) append(note(this.#name(state_key), ` ${verb}`));
  }

  /** @param {RoomEvent} event */
  #showMessage({ sender, origin_server_ts, content, unsigned }) {
    const body = String(content.body);
    const row = this.#row(sender, origin_server_ts, body);
    const transaction = unsigned?.transaction_id ?? '';
    const written = this.#written.get(transaction);
    if (!written) {
      append(row);
      return;
    }
    this.#written.delete(transaction);
    if (written.body !== body) row.lastElementChild?.append(el('p.rewritten', {}, 'rewritten by a module'));
    // In the room's order, whatever order it was written in.
    const atEnd = isAtEnd();
    written.row.remove();
    append(row, atEnd);
  }

  /** @param {RoomEvent} event */
  #learnName({ type, state_key = '', content }) {
    if (type !== 'm.room.member') return;
    if (typeof content.displayname === 'string') this.#names.set(state_key, content.displayname);
    else this.#names.delete(state_key);
  }

  /**
   * @param {string} sender
   * @param {number} at
   * @param {string} body
   */
  #row(sender, at, body) {
    return el(
      'li.message',
      { 'data-own': String(sender === this.client.userId) },
      el('p.who', {}, this.#name(sender), ' ', el('bdi.id', {}, cut(sender, 60)), el('time', {}, clock(at))),
      el('div', {}, el('p.body', {}, said(body))),
    );
  }

  /** @param {string} userId */
  #name(userId) {
    const localpart = userId.slice(1).split(':')[0] ?? userId;
    const name = this.#names.get(userId) ?? localpart;
    return el('bdi.name', { 'data-colour': String(hash(userId) % COLOURS) }, cut(name.trim() || localpart, 60));
  }
}

/** @param {...(Node | string)} children */
const note = (...children) => el('li.note', {}, ...children);

/** What was read last stays in sight; who reads further up is left alone. */
function append(/** @type {Element} */ row, follow = isAtEnd()) {
  // What is on its way, or was refused, comes after everything that is said.
  const sending =
    row.getAttribute('data-state') === 'sending' ? null : timeline.querySelector('[data-state="sending"]');
  timeline.insertBefore(row, sending);
  while (timeline.children.length > MOST_ROWS) timeline.firstElementChild?.remove();
  if (follow) toEnd();
}

const isAtEnd = () => timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < 40;
const toEnd = () => timeline.scrollTo({ top: timeline.scrollHeight });

const hash = (/** @type {string} */ text) => [...text].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7);
