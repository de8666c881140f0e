// The columns of a comparison, as the address has them: `composite`, `~attributor`, or a class.
import { model } from "./controls.js";
import * as state from "./state.js";

const FIRST_METHODS = 4;
const FIRST_CLASSES = 3;

export const isByClass = () => state.get("by") === "classes";

/** Every column that there can be: [value, text]. */
export function possible() {
  if (isByClass()) return model().labels.map((label) => [label, label]);
  const modified = model().attributors.filter((one) => one.is_modified);
  const ways = model().attributors.filter((one) => one !== modified[0]);
  return [
    ...model().composites.map(({ name }) => [name, name.replaceAll("_", " ")]),
    ...ways.map(({ name }) => [`~${name}`, name.replaceAll("_", " ")]),
  ];
}

/** The columns that are shown. */
export function shown() {
  const known = possible().map(([value]) => value);
  const given = state.get("columns");
  if (!given) return known.slice(0, isByClass() ? FIRST_CLASSES : FIRST_METHODS);
  const names = given.split("|").filter((value) => known.includes(value));
  return [...new Set(names)];
}

export const show = (columns) => state.update({ columns: columns.join("|") || "|" });

/** The options of a column. */
export function optionsOf(column, options) {
  if (isByClass()) return { ...options, target: `label:${column}`, contrast: "" };
  const common = { model: options.model, target: options.target, contrast: options.contrast };
  return column.startsWith("~") ? { ...common, attributor: column.slice(1) } : { ...common, composite: column };
}
