// The view of the model: the card that its bundle has.
import { isModelKnown, loadModels, model } from "../method/models.js";
import { find, make, replaceContent } from "../page/dom.js";
import { words } from "../page/numbers.js";
import * as state from "../page/state.js";
import { checkModel } from "../service/requests.js";
import { confusionMatrix, trainingCurves } from "./charts.js";
import { faithfulnessTable } from "./faithfulness.js";

/** @import { Child } from "../page/dom.js" */
/** @import { DefaultMethod, Model } from "../service/types.d.ts" */
/** @typedef {[name: string, value: string]} Row */

const POLL_MS = 500;
const MAX_LABELS = 30;

/**
 * Show the card.
 *
 * @param {AbortSignal} signal
 */
export async function show(signal) {
  if (!isModelKnown()) await checkModel(state.get("model"), signal);
  await untilLoaded(signal);
  if (signal.aborted) return;
  const { confusion, evidence, history, labels, layers, provenance } = model();
  const layerRows = layers.map(({ name, kind, shape }) => row(name, `${kind}, ${shape.join("×")}`));
  const cards = [
    card(model().name, makeTable(factsOf(model()))),
    confusion.test ? confusionCard(labels, confusion.test) : null,
    evidence ? card("Faithfulness of explanations", faithfulnessTable(evidence)) : null,
    history.length ? card("Training", trainingCurves(history)) : null,
    card("Provenance", makeTable(flatten(provenance))),
    card("Layers", makeTable(layerRows)),
  ];
  replaceContent(find("#view"), make("div", { class: "pages" }, ...cards));
}

/**
 * Wait until the service has loaded the model: only then it knows its layers.
 *
 * @param {AbortSignal} signal
 */
async function untilLoaded(signal) {
  while (!model().layers.length && !model().ready && !signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await loadModels();
  }
}

/**
 * @param {string} title
 * @param {...Child} children
 */
const card = (title, ...children) =>
  make("div", { class: "card" }, make("h2", {}, title), ...children);

/**
 * @param {string[]} labels
 * @param {number[][]} counts
 */
function confusionCard(labels, counts) {
  const text =
    "Each row has the test images of one true class, each column those of one predicted class.";
  return card(
    "Confusion matrix",
    make("p", { class: "quiet" }, text),
    confusionMatrix(labels, counts),
  );
}

/**
 * @param {string} name
 * @param {string} value
 * @returns {Row}
 */
const row = (name, value) => [name, value];

/**
 * @param {Model} model
 * @returns {Row[]}
 */
function factsOf({ architecture, accuracy, default_method, input_size, labels, sha256 }) {
  const accuracies = Object.entries(accuracy).map(([split, { accuracy: share, n }]) =>
    row(`Accuracy, ${split}`, `${(100 * share).toFixed(2)}% of ${n.toLocaleString("en")} images`),
  );
  return [
    row("Architecture", architecture),
    ...accuracies,
    row("Input", `${input_size.join(" × ")} pixels`),
    row("Classes", shorten(labels)),
    ...(default_method ? [row("Default method", methodText(default_method))] : []),
    row("Weights (SHA-256)", sha256),
  ];
}

/** @param {DefaultMethod} method */
const methodText = ({ attributor, composite }) =>
  [attributor, composite].flatMap((name) => (name ? [words(name)] : [])).join(", ");

/** @param {string[]} labels */
function shorten(labels) {
  if (labels.length <= MAX_LABELS) return labels.join(", ");
  return `${labels.slice(0, MAX_LABELS).join(", ")} … (${labels.length})`;
}

/**
 * Nested fields as rows.
 *
 * @param {object} fields
 * @returns {Row[]}
 */
function flatten(fields, prefix = "") {
  return Object.entries(fields).flatMap(([name, value]) => {
    const title = `${prefix}${words(name)}`;
    const isNested = value && typeof value === "object" && !Array.isArray(value);
    return isNested ? flatten(value, `${title}: `) : [row(title, String(value))];
  });
}

/** @param {Row[]} rows */
function makeTable(rows) {
  const lines = rows.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
  );
  return make("table", {}, make("tbody", {}, ...lines));
}
