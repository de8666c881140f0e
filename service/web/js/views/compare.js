// The view of several explanations of one image: of methods, each on a scale of its own, or of
// classes, on a common one.
import { tableOf } from "../map/colors.js";
import { boundOf } from "../map/pixels.js";
import { makeScale } from "../map/scale.js";
import {
  columnOptions,
  isByClass,
  possibleColumns,
  showColumns,
  shownColumns,
} from "../method/columns.js";
import { contrastText } from "../method/label.js";
import { colormap, model } from "../method/models.js";
import { explainOptions, makeQuestion } from "../method/question.js";
import { find, make, replaceContent } from "../page/dom.js";
import { makeButton, makeCheckbox, makeSelect } from "../page/fields.js";
import { currentImage, requireImage } from "../page/image.js";
import * as state from "../page/state.js";
import { isCancelled, problemOf, withStatus } from "../page/status.js";
import { forEachConcurrently, getExplanation, getTopLabels } from "../service/answers.js";
import { makeColumn } from "./column.js";

/** @import { Color } from "../map/colors.js" */
/** @import { Entry } from "../page/fields.js" */
/** @import { RequestError } from "../page/status.js" */
/** @import { Explanation } from "../service/types.d.ts" */
/** @import { ColumnContent, Failure } from "./column.js" */

/**
 * What is drawn.
 *
 * @typedef {object} Comparison
 * @property {string[]} names - of the columns
 * @property {ColumnContent[]} contents - of the columns; null while it is loaded
 * @property {Color[]} table
 * @property {string} predicted - the label of the predicted class
 */

const N_CLASSES_AT_FIRST = 3;
const MAX_ADDED = 30; // columns by one click
const N_TOP = 10; // columns by one click where there are more classes
const WEAK = 0.1; // of the common bound: below it a map is nearly blank

/**
 * Show the columns, each as its explanation arrives.
 *
 * @param {AbortSignal} signal
 */
export async function show(signal) {
  const image = requireImage();
  const table = await tableOf(colormap());
  const nClasses = Math.min(N_CLASSES_AT_FIRST, model().labels.length);
  const topLabels = await getTopLabels(image, state.get("model"), nClasses, signal);
  if (signal.aborted) return;
  const names = shownColumns(topLabels);
  /** @type {ColumnContent[]} */
  const contents = names.map(() => null);
  const [predicted] = topLabels;
  const redraw = () => {
    if (!signal.aborted) draw({ names, contents, table, predicted });
  };
  redraw();
  // all methods explain the class that the network predicts, unless another one is asked for
  const target = state.get("target") || `label:${predicted}`;
  /** @type {(name: string, i: number) => Promise<void>} */
  const load = async (name, i) => {
    const options = columnOptions(name, { ...explainOptions(), target });
    try {
      contents[i] = await getExplanation(image, options, signal);
    } catch (error) {
      if (isCancelled(error)) throw error;
      const retry = () => {
        contents[i] = null;
        redraw();
        load(name, i);
      };
      contents[i] = { error: /** @type {RequestError} */ (error), retry };
    }
    redraw();
  };
  await forEachConcurrently(names, load);
}

/**
 * @param {ColumnContent} content
 * @returns {content is Failure}
 */
const isFailure = (content) => content !== null && "error" in content;

/**
 * @param {ColumnContent} content
 * @returns {content is Explanation}
 */
const isExplanation = (content) => content !== null && !("error" in content);

/**
 * Every column's failure, where all fail for the same reason: the request is wrong, which is said
 * once.
 *
 * @param {ColumnContent[]} contents
 * @returns {Failure[]} empty where it is not so
 */
function commonFailure(contents) {
  const failures = contents.filter(isFailure);
  const messages = new Set(failures.map(({ error }) => error.message));
  const isCommon = failures.length === contents.length && messages.size === 1;
  return isCommon && contents.length > 1 ? failures : [];
}

/** @param {Comparison} comparison */
function draw({ names, contents, table, predicted }) {
  const failures = commonFailure(contents);
  const explanations = contents.filter(isExplanation);
  const hasOwnScales = Boolean(Number(state.get("own_scale", ownScaleDefault())));
  const common = Math.max(0, ...explanations.map(boundOf));
  const bound = hasOwnScales ? null : common;
  const columns = names.map((_, i) =>
    makeColumn({ names, i, content: failures.length ? "hidden" : contents[i], table, bound }),
  );
  replaceContent(
    find("#view"),
    make(
      "div",
      { class: "card" },
      make("h2", {}, titleOf(explanations)),
      isByClass() ? null : makeQuestion({ predicted }),
      columnChooser(names, hasOwnScales),
      failures.length ? problemOf(failures[0].error, () => retryAll(failures)) : null,
      make("p", { class: "quiet", id: "scales" }, scaleText(hasOwnScales)),
      hasOwnScales || !explanations.length ? null : makeScale(table, common),
      hasOwnScales ? null : weakNote(explanations, common),
      make("div", { class: "columns", id: "columns" }, ...columns),
    ),
  );
}

/** Methods have units of their own; relevance of classes has one, the score. */
const ownScaleDefault = () => (isByClass() ? "0" : "1");

/** @param {boolean} hasOwnScales */
function scaleText(hasOwnScales) {
  if (!hasOwnScales && isByClass())
    return "All classes on one scale: their relevance has one unit.";
  if (!hasOwnScales) return "All methods on one scale, though their units differ.";
  if (isByClass()) return "Each class on a scale of its own: compare places, not strengths.";
  return "Each method on a scale of its own, as their units differ: compare places, not strengths.";
}

/** @param {Failure[]} failures */
function retryAll(failures) {
  for (const { retry } of failures) retry();
}

/** @param {Explanation[]} explanations */
function titleOf([first]) {
  if (isByClass()) return "One image, several classes";
  const explained = first ? `: “${first.target.label}”${contrastText(first)}` : "";
  return `One image, several methods${explained}`;
}

/**
 * @param {Explanation[]} explanations
 * @param {number} common - their bound
 */
function weakNote(explanations, common) {
  const nWeak = explanations.filter((one) => boundOf(one) < WEAK * common).length;
  if (!nWeak) return null;
  const text = `${nWeak} of ${explanations.length} are too weak to be seen on this scale.`;
  return make("p", { class: "quiet", id: "weak" }, text);
}

/**
 * The controls that choose the columns.
 *
 * @param {string[]} names
 * @param {boolean} hasOwnScales
 */
function columnChooser(names, hasOwnScales) {
  return make(
    "div",
    { class: "row" },
    "Compare",
    subjectSelect(),
    ...addControls(names),
    makeCheckbox("Each on its own scale", hasOwnScales, (isOn) =>
      state.update({ own_scale: Number(isOn) === Number(ownScaleDefault()) ? null : Number(isOn) }),
    ),
  );
}

function subjectSelect() {
  /** @type {Entry[]} */
  const subjects = [
    ["", "methods"],
    ["classes", "classes"],
  ];
  const select = makeSelect(subjects, state.get("by"), (by) =>
    state.update({ by, columns: null, own_scale: null }),
  );
  select.setAttribute("aria-label", "Compare");
  return select;
}

/** @param {string[]} names */
function addControls(names) {
  const possible = possibleColumns();
  const others = possible.filter(([name]) => !names.includes(name));
  const add = makeSelect([["", "Add …"], ...others], "", (name) => showColumns([...names, name]));
  add.setAttribute("aria-label", "Add a column");
  const showAll = () => showColumns(possible.map(([name]) => name));
  const hasFew = possible.length <= MAX_ADDED;
  return [
    others.length ? add : null,
    hasFew ? makeButton("All", showAll) : null,
    !hasFew && isByClass() ? makeButton(`The ${N_TOP} most probable`, showTop) : null,
  ];
}

async function showTop() {
  const image = requireImage();
  const request = () => getTopLabels(image, state.get("model"), N_TOP);
  const labels = await withStatus(request, showTop);
  if (labels && image === currentImage()) showColumns(labels);
}
