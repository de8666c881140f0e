// What the page shows, kept in its address: a link reproduces the view.
import { addressOf, changedNames, parseQuery, withChanges } from "./address.js";

/** @import { Changes, Values } from "./address.js" */

/** @type {((names: string[]) => void)[]} */
const listeners = [];
let values = parseQuery(location.search);

/**
 * A value of the address.
 *
 * @param {string} name
 * @param {string} [fallback]
 */
export const get = (name, fallback = "") => values[name] ?? fallback;

/**
 * Change values; null takes one out. With `isMinor` the history gets no entry.
 *
 * @param {Changes} changes
 */
export function update(changes, { isMinor = false } = {}) {
  const names = replaceValues(withChanges(values, changes));
  if (!names.length) return;
  const method = isMinor ? "replaceState" : "pushState";
  history[method](null, "", addressOf(values, location.pathname));
  notify(names);
}

/**
 * Call a function with the names of the values that changed.
 *
 * @param {(names: string[]) => void} listener
 */
export const onChange = (listener) => listeners.push(listener);

addEventListener("popstate", () => notify(replaceValues(parseQuery(location.search))));

/**
 * Take other values; returns the names of those that changed.
 *
 * @param {Values} next
 */
function replaceValues(next) {
  const names = changedNames(values, next);
  values = next;
  return names;
}

/** @param {string[]} names */
function notify(names) {
  for (const listener of listeners) listener(names);
}
