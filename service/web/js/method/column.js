// A column of a comparison as text, for the page's address.
// It is a method, `composite` or `~attributor`, with `;name=value` for each parameter that differs
// from its default.
import { words } from "../page/numbers.js";

/** @import { Options } from "../service/types.d.ts" */

/**
 * The columns of the address; they are separated by `|`.
 *
 * @param {string} text
 */
export const parseColumns = (text) => text.split("|").filter(Boolean).map(unescapeColumn);

/**
 * Columns for the address; "|" where there are none, as "" stands for the columns at first.
 *
 * @param {string[]} columns
 */
export const formatColumns = (columns) => columns.map(escapeColumn).join("|") || "|";

// a label may contain any character
/** @param {string} column */
const escapeColumn = (column) => column.replaceAll("%", "%25").replaceAll("|", "%7C");
/** @param {string} text */
const unescapeColumn = (text) => text.replaceAll("%7C", "|").replaceAll("%25", "%");

/**
 * The method of a column, as the column names it.
 *
 * @param {string} column
 */
export const methodOf = (column) => column.split(";")[0];

/**
 * The parameters that differ from their defaults.
 *
 * @param {string} column
 * @returns {Record<string, string>}
 */
export const changedParameters = (column) =>
  Object.fromEntries(
    column
      .split(";")
      .slice(1)
      .map((pair) => pair.split("=")),
  );

/**
 * The same column with another value of a parameter; null is the default.
 *
 * @param {string} column
 * @param {string} name
 * @param {string | null} value
 */
export function withParameter(column, name, value) {
  const { [name]: _, ...others } = changedParameters(column);
  const changed = value === null ? others : { ...others, [name]: value };
  const pairs = Object.entries(changed).map((pair) => pair.join("="));
  return [methodOf(column), ...pairs].join(";");
}

/**
 * The title of a column: its method, and what differs from the defaults.
 *
 * @param {string} column
 */
export function titleOf(column) {
  const changed = Object.entries(changedParameters(column)).map((pair) => `, ${pair.join(" ")}`);
  return words(`${methodOf(column).replace("~", "")}${changed.join("")}`);
}

/**
 * The options of a column, for a request.
 *
 * @param {string} column
 * @returns {Options}
 */
export function columnOptions(column) {
  const method = methodOf(column);
  const named = method.startsWith("~") ? { attributor: method.slice(1) } : { composite: method };
  return { ...changedParameters(column), ...named };
}
