// The columns of a comparison, as the address has them: a class, or a method with what differs from its
// defaults. A method is `composite` or `~attributor`, then `;name=value` for each parameter.
import { composites, model } from "./controls.js";
import * as state from "../page/state.js";

const FIRST_METHODS = 4;

export const isByClass = () => state.get("by") === "classes";

/** Every column that there can be, with its defaults: [value, text]. */
export function possible() {
  if (isByClass()) return model().labels.map((label) => [label, label]);
  const modified = model().attributors.filter((one) => one.is_modified);
  const ways = model().attributors.filter((one) => one !== modified[0]);
  return [
    ...composites().map(({ name }) => [name, name.replaceAll("_", " ")]),
    ...ways.map(({ name }) => [`~${name}`, name.replaceAll("_", " ")]),
  ];
}

/** The columns that are shown: at first some methods, or the classes that are likeliest. */
export function shown(likeliest) {
  const given = state.get("columns");
  if (!given)
    return isByClass()
      ? likeliest
      : possible()
          .slice(0, FIRST_METHODS)
          .map(([value]) => value);
  return given.split("|").filter(Boolean).map(read); // what there is not fails in its column
}

// a label may have any sign
const write = (name) => name.replaceAll("%", "%25").replaceAll("|", "%7C");
const read = (text) => text.replaceAll("%7C", "|").replaceAll("%25", "%");

export const show = (columns) => state.update({ columns: columns.map(write).join("|") || "|" });

const methodOf = (column) => column.split(";")[0];

/** The parameters of a column, each with its value there. */
export function parametersOf(column) {
  if (isByClass()) return [];
  const method = methodOf(column);
  const found = [
    ...composites(),
    ...model().attributors.map((one) => ({ ...one, name: `~${one.name}` })),
  ].find(({ name }) => name === method);
  const set = changed(column);
  return (found?.parameters ?? []).map((parameter) => ({
    parameter,
    value: set[parameter.name] ?? parameter.default ?? "",
  }));
}

const changed = (column) =>
  Object.fromEntries(
    column
      .split(";")
      .slice(1)
      .map((pair) => pair.split("=")),
  );

/** The same column with another value of a parameter; null is its default. */
export function withParameter(column, name, value) {
  const { [name]: _, ...others } = changed(column);
  const set = value === null ? others : { ...others, [name]: value };
  return [methodOf(column), ...Object.entries(set).map((pair) => pair.join("="))].join(";");
}

/** What a column is called: the method, and what differs from its defaults. */
export function titleOf(column) {
  if (isByClass()) return column;
  const set = Object.entries(changed(column)).map((pair) => `, ${pair.join(" ")}`);
  return `${methodOf(column).replace("~", "")}${set.join("")}`.replaceAll("_", " ");
}

/** The options of a column. */
export function optionsOf(column, options) {
  if (isByClass()) return { ...options, target: `label:${column}`, contrast: "" };
  const common = {
    model: options.model,
    target: options.target,
    contrast: options.contrast,
    ...changed(column),
  };
  const method = methodOf(column);
  return method.startsWith("~")
    ? { ...common, attributor: method.slice(1) }
    : { ...common, composite: method };
}
