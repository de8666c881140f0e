// The query of the page's address, as values by name.

/** @typedef {Record<string, string>} Values */
/** @typedef {Record<string, string | number | null | undefined>} Changes */

/**
 * The values of a query; of a name that is given twice the last value counts.
 *
 * @param {string} search
 * @returns {Values}
 */
export const parseQuery = (search) => Object.fromEntries(new URLSearchParams(search));

/**
 * The address of these values, relative to the page.
 *
 * @param {Values} values
 * @param {string} path
 */
export function addressOf(values, path) {
  const query = new URLSearchParams(values).toString();
  return query ? `?${query}` : path;
}

/**
 * The values with changes; null, undefined and "" take a value out.
 *
 * @param {Values} values
 * @param {Changes} changes
 */
export function withChanges(values, changes) {
  const next = { ...values };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") delete next[name];
    else next[name] = String(value);
  }
  return next;
}

/**
 * The names of the values that differ.
 *
 * @param {Values} before
 * @param {Values} after
 */
export const changedNames = (before, after) =>
  Object.keys({ ...before, ...after }).filter((name) => before[name] !== after[name]);
