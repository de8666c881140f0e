// The evidence that a model's card has: how faithful the maps of each method are.
import { make, replaceContent } from "../page/dom.js";
import { makeField, makeSelect } from "../page/fields.js";
import { words } from "../page/numbers.js";

/** @import { Entry } from "../page/fields.js" */
/** @import { Evidence, Score } from "../service/types.d.ts" */

const DECIMALS = 3;

/**
 * A table of the methods by one measure, which a menu chooses.
 *
 * @param {Evidence} evidence
 */
export function faithfulnessTable(evidence) {
  const place = make("div", { class: "wide", tabindex: "0", role: "group" });
  place.setAttribute("aria-label", "Scores of the methods");
  const show = (/** @type {string} */ measure) => replaceContent(place, table(evidence, measure));
  show(evidence.decided_by);
  /** @type {Entry[]} */
  const entries = Object.keys(evidence.measures).map((name) => [name, name]);
  const menu = makeSelect(entries, evidence.decided_by, show);
  return make(
    "div",
    { id: "faithfulness" },
    make("p", { class: "quiet" }, summaryOf(evidence)),
    entries.length > 1 ? makeField("Measure", menu) : null,
    place,
  );
}

/** @param {Evidence} evidence */
function summaryOf({ data, n, hardware, measured_at }) {
  const images = `Up to ${n.toLocaleString("en")} images of ${data}`;
  return `${images}, measured on ${measured_at.slice(0, 10)} on ${hardware}; intervals are of 95%.`;
}

/**
 * @param {Evidence} evidence
 * @param {string} measure
 */
function table(evidence, measure) {
  const { text, higher_is_better: isHigher } = evidence.measures[measure];
  const better = isHigher ? " Higher is better." : " Lower is better.";
  const scored = Object.entries(evidence.methods).filter(([, scores]) => scores[measure]);
  return make(
    "table",
    {},
    make("caption", {}, `${text}.${isHigher === null ? "" : better}`),
    make("thead", {}, headRow()),
    make("tbody", {}, ...scored.map(([name, scores]) => row(evidence, name, scores[measure]))),
  );
}

const headRow = () =>
  make(
    "tr",
    {},
    ...["Method", "Mean", "Interval", "Images"].map((title) => make("th", { scope: "col" }, title)),
  );

/**
 * @param {Evidence} evidence
 * @param {string} name
 * @param {Score} score
 */
function row({ baselines, best }, name, { mean, low, high, n }) {
  const notes = [
    baselines.includes(name) ? "baseline" : "",
    best.includes(name) ? "best, or not significantly different" : "",
  ].filter(Boolean);
  return make(
    "tr",
    {},
    make(
      "th",
      { scope: "row" },
      words(name),
      notes.length ? make("span", { class: "quiet" }, ` (${notes.join("; ")})`) : null,
    ),
    make("td", {}, format(mean)),
    make("td", {}, `${format(low)} to ${format(high)}`),
    make("td", {}, n.toLocaleString("en")),
  );
}

/** @param {number} number */
const format = (number) => number.toFixed(DECIMALS).replace("-", "−");
