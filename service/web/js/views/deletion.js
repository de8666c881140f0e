// The chart of what happens to the score while more and more of the image is hidden.
import { make, makeSvg } from "../page/dom.js";
import { formatPercent } from "../page/numbers.js";

/** @import { Deletion } from "../service/types.d.ts" */
/** @typedef {{ x: (share: number) => number, y: (probability: number) => number }} Axes */
/** @typedef {{ name: string, style: string, values: number[] }} Order */

const [WIDTH, HEIGHT] = [480, 220];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 472, 10, 192]; // edges: large labels fit on a phone
const TICKS = [0, 0.25, 0.5, 0.75, 1]; // shares that are hidden
const STEPS = [1, 2, 5, 10]; // of what the top of the plot may be, times a power of ten

/**
 * The probability in each order, with the spread of the random ones, and a table of all numbers.
 *
 * @param {Deletion} deletion
 * @param {string} subject - what is explained, in words
 */
export function deletionChart(deletion, subject) {
  const orders = ordersOf(deletion);
  const top = topOf(deletion);
  const axes = axesOf(top);
  const label = `Probability of ${subject} while more of the image is hidden`;
  const drawing = makeSvg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    ...[0, top / 2, top].flatMap((value) => gridLine(value, axes.y(value))),
    ...TICKS.map((share) => tick(share, axes.x(share))),
    makeSvg("path", { class: "band", d: bandPath(deletion, axes) }),
    ...orders.map(({ style, values }) =>
      makeSvg("path", { class: `line ${style}`, d: linePath(deletion.hidden, values, axes) }),
    ),
  );
  const keys = orders.map(({ name, style }) => make("span", { class: `key ${style}` }, name));
  return make(
    "figure",
    { id: "deletion" },
    drawing,
    make("figcaption", {}, ...keys, make("p", { class: "quiet" }, `${label}.`)),
    make("details", {}, make("summary", {}, "Numbers"), tableOf(deletion, orders)),
  );
}

/**
 * @param {Deletion} deletion
 * @returns {Order[]}
 */
const ordersOf = ({ most_relevant_first, least_relevant_first, random }) => [
  { name: "most relevant first", style: "most", values: most_relevant_first },
  { name: `random, mean of ${random.orders}`, style: "random", values: random.mean },
  { name: "least relevant first", style: "least", values: least_relevant_first },
];

/**
 * The probability at the top of the plot: a round one, and not above 1.
 *
 * @param {Deletion} deletion
 */
export function topOf({ most_relevant_first, least_relevant_first, random }) {
  const largest = Math.max(...most_relevant_first, ...least_relevant_first, ...random.mean, 1e-9);
  const power = 10 ** Math.floor(Math.log10(largest));
  const step = STEPS.find((one) => one * power >= largest) ?? 10;
  return Math.min(1, step * power);
}

/**
 * @param {number} top
 * @returns {Axes}
 */
export const axesOf = (top) => ({
  x: (share) => LEFT + (RIGHT - LEFT) * share,
  y: (probability) => BOTTOM - ((BOTTOM - TOP) * Math.min(top, Math.max(0, probability))) / top,
});

/**
 * @param {number[]} hidden
 * @param {number[]} values
 * @param {Axes} axes
 */
const points = (hidden, values, { x, y }) =>
  hidden.map((share, i) => `${x(share).toFixed(1)} ${y(values[i]).toFixed(1)}`);

/**
 * The path of a line.
 *
 * @param {number[]} hidden
 * @param {number[]} values
 * @param {Axes} axes
 */
export const linePath = (hidden, values, axes) => `M${points(hidden, values, axes).join("L")}`;

/**
 * The path around the random orders: their mean, and a standard deviation to both sides.
 *
 * @param {Deletion} deletion
 * @param {Axes} axes
 */
export function bandPath({ hidden, random: { mean, std } }, axes) {
  const upper = mean.map((value, i) => value + std[i]);
  const lower = mean.map((value, i) => value - std[i]);
  const around = [...points(hidden, upper, axes), ...points(hidden, lower, axes).reverse()];
  return `M${around.join("L")}Z`;
}

/**
 * @param {number} value
 * @param {number} y
 */
const gridLine = (value, y) => [
  makeSvg("path", { class: "grid", d: `M${LEFT} ${y}H${RIGHT}` }),
  makeSvg("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, axisText(value)),
];

/**
 * A probability at the axis: digits as it takes, so that those of a rare class differ.
 *
 * @param {number} value
 */
export const axisText = (value) => `${Number((100 * value).toPrecision(2))}%`;

/**
 * @param {number} share
 * @param {number} x
 */
const tick = (share, x) =>
  makeSvg(
    "text",
    { x, y: HEIGHT - 8, "text-anchor": share === 1 ? "end" : "middle" },
    `${Math.round(100 * share)}%`,
  );

/**
 * @param {Deletion} deletion
 * @param {Order[]} orders
 */
function tableOf({ hidden, random }, orders) {
  const names = ["hidden", ...orders.map(({ name }) => name), "deviation of random"];
  const head = names.map((name) => make("th", { scope: "col" }, name));
  const rows = hidden.map((share, i) => {
    const numbers = [...orders.map(({ values }) => values[i]), random.std[i]];
    const cells = numbers.map((value) => make("td", {}, formatPercent(value)));
    return make("tr", {}, make("th", { scope: "row" }, formatPercent(share)), ...cells);
  });
  const table = make(
    "table",
    {},
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
  return make(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": "Numbers" },
    table,
  );
}
