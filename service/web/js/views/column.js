// A column of a comparison: its map, what it took, and its parameters.
import { drawHeatmap } from "../map/draw.js";
import { makeMap } from "../map/map.js";
import { boundOf } from "../map/pixels.js";
import { makeScale } from "../map/scale.js";
import { withParameter } from "../method/column.js";
import { columnParameters, columnTitle, showColumns } from "../method/columns.js";
import { isSmooth } from "../method/models.js";
import { parameterControl } from "../method/parameters.js";
import { make } from "../page/dom.js";
import { formatNumber } from "../page/numbers.js";
import { problemOf } from "../page/status.js";
import { shortAccount } from "./account.js";

/** @import { Color } from "../map/colors.js" */
/** @import { RequestError } from "../page/status.js" */
/** @import { Explanation } from "../service/types.d.ts" */
/** @typedef {{ error: RequestError, retry: () => void }} Failure */
/** @typedef {Explanation | Failure | null} ColumnContent - null while it is loaded */

/**
 * @typedef {object} Column
 * @property {string[]} names - of all columns
 * @property {number} i - which one it is
 * @property {ColumnContent | "hidden"} content
 * @property {Color[]} table
 * @property {number | null} bound - of all columns; null where each has its own scale
 */

/** @type {Set<number>} */
const expanded = new Set(); // the columns whose parameters are shown

/** @param {Column} column */
export function makeColumn(column) {
  const { names, i } = column;
  const title = columnTitle(names[i]);
  const remove = () => {
    expanded.clear(); // the others move
    showColumns(names.filter((_, j) => j !== i));
  };
  const button = { type: "button", "aria-label": `Remove ${title}`, click: remove };
  return make(
    "article",
    { class: "column" },
    make("div", { class: "head" }, make("h3", {}, title), make("button", button, "×")),
    ...contentOf(column, title),
    parameterBox(names, i),
  );
}

/**
 * @param {Column} column
 * @param {string} title
 */
function contentOf({ content, table, bound }, title) {
  if (content === "hidden") return [];
  if (content === null) return [make("div", { class: "map", "aria-busy": "true" })];
  if ("error" in content) return [problemOf(content.error, content.retry)];
  const own = boundOf(content);
  const readout = make("p", { class: "readout quiet" });
  const map = makeMap({
    grid: content,
    pixels: drawHeatmap(content, { table, bound: bound ?? own, isSmooth: isSmooth() }),
    label: `Relevance by ${title}`,
    readout,
  });
  const scale = bound === null ? makeScale(table, own, { isNarrow: true }) : null;
  return [map, scale, make("p", { class: "quiet" }, factsOf(content, own)), readout];
}

/**
 * @param {Explanation} explanation
 * @param {number} largest - relevance
 */
function factsOf({ computeMs, conservation }, largest) {
  const time = computeMs === null ? "from the cache" : `${formatNumber(computeMs)} ms`;
  return `${time} · ${shortAccount(conservation)} · largest ${formatNumber(largest)}`;
}

/**
 * The parameters of a column, which may differ from those of its neighbours.
 *
 * @param {string[]} names
 * @param {number} i
 */
function parameterBox(names, i) {
  const parameters = columnParameters(names[i]);
  if (!parameters.length) return null;
  const controls = parameters.map(({ parameter, value }) => {
    /** @param {string | null} given */
    const change = (given) =>
      showColumns(names.with(i, withParameter(names[i], parameter.name, given)));
    return parameterControl(parameter, value, change, `${i}-`);
  });
  const box = make(
    "details",
    { open: expanded.has(i) },
    make("summary", {}, "Parameters"),
    ...controls,
  );
  box.addEventListener("toggle", () => {
    if (box.open) expanded.add(i);
    else expanded.delete(i);
  });
  return box;
}
