// What is explained: a class, and the class that it is contrasted with.
import { make } from "../page/dom.js";
import { makeField, makeSelect } from "../page/fields.js";
import * as state from "../page/state.js";
import { labelOf } from "./label.js";
import { methodOptions, model } from "./models.js";

/** @import { Entry } from "../page/fields.js" */
/** @import { Options } from "../service/types.d.ts" */

/**
 * The options of the explanation that the address asks for.
 *
 * @returns {Options}
 */
export const explainOptions = () => ({
  ...methodOptions(),
  target: state.get("target"),
  contrast: state.get("contrast"),
});

/**
 * Explain a class. The predicted one needs no name, and no class is contrasted with itself.
 *
 * @param {string | undefined} label
 * @param {boolean} isPredicted
 */
export const explainClass = (label, isPredicted) =>
  state.update({
    target: isPredicted ? null : `label:${label}`,
    contrast: requestedLabel("contrast") === label ? null : state.get("contrast"),
  });

/**
 * The label of a class in the address; "" where there is none.
 *
 * @param {"target" | "contrast"} option
 */
const requestedLabel = (option) => labelOf(state.get(option), model().labels);

/**
 * The controls of the class and of its contrast.
 *
 * @param {{ predicted?: string, hasTarget?: boolean }} [options] - `predicted`: where it is known
 */
export function makeQuestion({ predicted, hasTarget = true } = {}) {
  return make(
    "div",
    { class: "row question" },
    hasTarget ? targetField(predicted) : null,
    contrastField(predicted),
  );
}

/** @param {string} [predicted] */
function targetField(predicted) {
  const entries = [entry("", "predicted class"), ...model().labels.map((label) => entry(label))];
  const select = makeSelect(entries, requestedLabel("target"), (label) =>
    explainClass(label || predicted, !label),
  );
  return makeField("Why", select);
}

/** @param {string} [predicted] */
function contrastField(predicted) {
  const contrast = requestedLabel("contrast");
  const target = requestedLabel("target") || predicted;
  const others = model().labels.filter((label) => label !== target || label === contrast);
  const entries = [entry("", "no other class"), ...others.map((label) => entry(label))];
  const select = makeSelect(entries, contrast, (label) =>
    state.update({ contrast: label && `label:${label}` }),
  );
  return makeField("… rather than", select);
}

/**
 * @param {string} value
 * @returns {Entry}
 */
const entry = (value, text = value) => [value, text];
