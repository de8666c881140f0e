// Classes in requests and in titles.

/**
 * The label of a class that is named by its index, by its label, or as `label:...`; "" for "".
 *
 * @param {string} name
 * @param {string[]} labels
 */
export function labelOf(name, labels) {
  const byIndex = /^\d+$/.test(name) ? labels[Number(name)] : undefined;
  return byIndex || name.replace(/^label:/, "");
}

/**
 * What a class is contrasted with, for a title; "" where there is no contrast.
 *
 * @param {{ method: { contrast: string | null } }} explanation
 */
export const contrastText = ({ method: { contrast } }) =>
  contrast ? ` rather than “${contrast}”` : "";
