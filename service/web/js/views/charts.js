// Charts of a model: the curves of its training, and its confusion matrix.
import { make, makeSvg } from "../page/dom.js";
import { formatNumber, formatPercent } from "../page/numbers.js";

/** @import { Epoch } from "../service/types.d.ts" */
/** @typedef {Exclude<keyof Epoch, "epoch">} Measure */
/** @typedef {{ x: (epoch: number) => number, y: (value: number) => number }} Axes */

const [WIDTH, HEIGHT] = [480, 220];
const [LEFT, RIGHT, TOP, BOTTOM] = [44, 472, 10, 192]; // edges of the plot
/** @type {{ measure: Measure, text: string, style: string }[]} */
const LINES = [
  { measure: "training_loss", text: "training loss", style: "training" },
  { measure: "validation_loss", text: "validation loss", style: "validation" },
  { measure: "validation_accuracy", text: "validation accuracy", style: "accuracy" },
];
const MAX_SHADE = 33; // per cent: text on it has to stay readable

/**
 * Losses and accuracy over the epochs, all from 0.
 *
 * @param {Epoch[]} history
 */
export function trainingCurves(history) {
  const top = topOf(history);
  const axes = axesOf(history, top);
  const figure = makeSvg(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": `Curves of ${history.length} epochs`,
    },
    ...[0, top / 2, top].flatMap((value) => gridLine(value, axes.y(value))),
    ...epochTexts(history),
    ...LINES.map(({ measure, style }) =>
      makeSvg("path", { class: `line ${style}`, d: linePath(history, measure, axes) }),
    ),
  );
  return make("figure", { id: "curves" }, figure, caption(history[history.length - 1]));
}

/**
 * The value at the top of the plot: 1 for an accuracy, more where a loss is larger.
 *
 * @param {Epoch[]} history
 */
export const topOf = (history) =>
  Math.max(1, ...history.flatMap((epoch) => [epoch.training_loss, epoch.validation_loss]));

/**
 * @param {Epoch[]} history
 * @param {number} top
 * @returns {Axes}
 */
export function axesOf(history, top) {
  const [first, last] = [history[0].epoch, history[history.length - 1].epoch];
  return {
    x: (epoch) => LEFT + ((RIGHT - LEFT) * (epoch - first)) / Math.max(1, last - first),
    y: (value) => BOTTOM - ((BOTTOM - TOP) * value) / top,
  };
}

/**
 * The path of an SVG line.
 *
 * @param {Epoch[]} history
 * @param {Measure} measure
 * @param {Axes} axes
 */
export function linePath(history, measure, { x, y }) {
  const points = history.map((entry) => [x(entry.epoch), y(entry[measure])]);
  return `M${points.map((point) => point.map((place) => place.toFixed(1)).join(" ")).join("L")}`;
}

/**
 * @param {number} value
 * @param {number} y
 */
const gridLine = (value, y) => [
  makeSvg("path", { class: "grid", d: `M${LEFT} ${y}H${RIGHT}` }),
  makeSvg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, formatNumber(value)),
];

/** @param {Epoch[]} history */
function epochTexts(history) {
  const [first, last] = [history[0].epoch, history[history.length - 1].epoch];
  const y = HEIGHT - 8;
  return [
    makeSvg("text", { x: LEFT, y }, `epoch ${first}`),
    makeSvg("text", { x: RIGHT, y, "text-anchor": "end" }, String(last)),
  ];
}

/** @param {Epoch} last */
function caption(last) {
  const keys = LINES.map(({ measure, text, style }) => {
    const format = measure === "validation_accuracy" ? formatPercent : formatNumber;
    return make("span", { class: `key ${style}` }, `${text} ${format(last[measure])}`);
  });
  return make("figcaption", {}, ...keys);
}

/**
 * A row for each true class, shaded by its share.
 *
 * @param {string[]} labels
 * @param {number[][]} counts - of images, by true and by predicted class
 */
export function confusionMatrix(labels, counts) {
  const head = labels.map((label) => make("th", { scope: "col" }, make("span", {}, label)));
  const rows = counts.map((row, i) => confusionRow(row, labels[i], labels));
  const table = make(
    "table",
    { class: "confusion", id: "confusion" },
    make("thead", {}, make("tr", {}, make("td"), ...head)),
    make("tbody", {}, ...rows),
  );
  const attributes = { tabindex: 0, role: "region", "aria-label": "Confusion matrix" };
  return make("div", { class: "wide", ...attributes }, table);
}

/**
 * @param {number[]} row
 * @param {string} truth
 * @param {string[]} labels
 */
function confusionRow(row, truth, labels) {
  const n = row.reduce((sum, count) => sum + count, 0);
  const cells = row.map((count, i) =>
    confusionCell(count, count / Math.max(1, n), truth, labels[i]),
  );
  return make("tr", {}, make("th", { scope: "row" }, truth), ...cells);
}

/**
 * @param {number} count
 * @param {number} share - of the images of the true class
 * @param {string} truth
 * @param {string} predicted
 */
function confusionCell(count, share, truth, predicted) {
  const title = `${truth} classified as ${predicted}: ${formatPercent(share)}`;
  const cell = make("td", { title }, count ? String(count) : "·");
  const color = truth === predicted ? "against" : "for";
  const shade = Math.round(MAX_SHADE * Math.sqrt(share));
  if (count) cell.style.background = `color-mix(in srgb, var(--${color}) ${shade}%, transparent)`;
  return cell;
}
