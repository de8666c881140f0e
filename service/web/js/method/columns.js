// The columns of a comparison: methods with their parameters, or classes.
import { words } from "../page/numbers.js";
import * as state from "../page/state.js";
import * as column from "./column.js";
import { composites, model } from "./models.js";

/** @import { Entry } from "../page/fields.js" */
/** @import { Method, Options, Parameter } from "../service/types.d.ts" */

const N_METHODS_AT_FIRST = 4;

/** Whether the columns are classes; else they are methods. */
export const isByClass = () => state.get("by") === "classes";

/** @param {{ name: string }} attributor */
const attributorColumn = ({ name }) => `~${name}`;

/**
 * Every column that there can be, with its defaults.
 *
 * @returns {Entry[]}
 */
export function possibleColumns() {
  if (isByClass()) return model().labels.map((label) => [label, label]);
  const { attributors } = model();
  // with a composite, this attributor is what every composite goes with already
  const withComposite = attributors.find(({ is_modified }) => is_modified);
  const others = attributors.filter((attributor) => attributor !== withComposite);
  return [
    .../** @type {Entry[]} */ (composites().map(({ name }) => [name, words(name)])),
    .../** @type {Entry[]} */ (others.map((one) => [attributorColumn(one), words(one.name)])),
  ];
}

/** The column of the model's own default method; none where it has none, or no single name. */
function ownColumn() {
  const { composite, attributor } = model().default_method ?? {};
  if (composite && (!attributor || attributor === "gradient")) return [composite];
  return attributor && !composite ? [attributorColumn({ name: attributor })] : [];
}

/**
 * The columns of the address; at first some methods, of which the model's default is the first, or
 * the most probable classes. A column that there is not fails in its place.
 *
 * @param {string[]} topLabels
 */
export function shownColumns(topLabels) {
  const given = state.get("columns");
  if (given) return column.parseColumns(given);
  if (isByClass()) return topLabels;
  const names = [...ownColumn(), ...possibleColumns().map(([name]) => name)];
  return [...new Set(names)].slice(0, N_METHODS_AT_FIRST);
}

/** @param {string[]} columns */
export const showColumns = (columns) => state.update({ columns: column.formatColumns(columns) });

/**
 * The parameters of a column, each with its value there.
 *
 * @param {string} name - of the column
 */
export function columnParameters(name) {
  if (isByClass()) return [];
  const changed = column.changedParameters(name);
  return parametersOf(column.methodOf(name)).map((parameter) => ({
    parameter,
    value: changed[parameter.name] ?? String(parameter.default ?? ""),
  }));
}

/**
 * @param {string} method
 * @returns {Parameter[]}
 */
function parametersOf(method) {
  /** @type {Method[]} */
  const attributors = model().attributors.map((one) => ({ ...one, name: attributorColumn(one) }));
  const entry = [...composites(), ...attributors].find(({ name }) => name === method);
  return entry?.parameters ?? [];
}

/** @param {string} name */
export const columnTitle = (name) => (isByClass() ? name : column.titleOf(name));

/**
 * The options of a column, for a request.
 *
 * @param {string} name
 * @param {Options} options - of the page
 * @returns {Options}
 */
export function columnOptions(name, options) {
  if (isByClass()) return { ...options, target: `label:${name}`, contrast: "" };
  const { model: modelName, target, contrast } = options;
  return { model: modelName, target, contrast, ...column.columnOptions(name) };
}
