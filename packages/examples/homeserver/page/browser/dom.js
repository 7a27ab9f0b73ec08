// Elements are made of elements and text, never of markup: what people and modules write stays what they wrote.

/** @typedef {Node | string | number | false | undefined} Child */

/**
 * @param {string} tag with classes as in CSS: `li.note`
 * @param {Readonly<Record<string, string>>} attributes
 * @param {...Child} children
 */
export function el(tag, attributes = {}, ...children) {
  const [name = '', ...classes] = tag.split('.');
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children) if (child !== false && child !== undefined) element.append(text(child));
  return element;
}

/** Somebody else's words: their direction does not spill over, and their length has an end. */
export const said = (/** @type {string} */ words) => el('bdi', {}, cut(words, 4_000));

export const cut = (/** @type {string} */ words, /** @type {number} */ length) =>
  words.length > length ? `${words.slice(0, length)}…` : words;

/**
 * The element that the document has under an id.
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 */
export function find(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`The page has no ${type.name} #${id}`);
  return element;
}

/** Three digits are enough to compare. @param {number} value */
export function ms(value) {
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export const clock = (/** @type {number} */ at) =>
  new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });

export const count = (/** @type {number} */ value) => value.toLocaleString('en');

const text = (/** @type {Node | string | number} */ child) => (child instanceof Node ? child : String(child));
