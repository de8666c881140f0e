// The view of one explanation.
import { tableOf } from "../map/colors.js";
import { makeMap } from "../map/map.js";
import { boundOf } from "../map/pixels.js";
import { makeScale } from "../map/scale.js";
import { contrastText } from "../method/label.js";
import { colormap, isSmooth, model } from "../method/models.js";
import { explainClass, explainOptions, makeQuestion } from "../method/question.js";
import { find, make, replaceContent } from "../page/dom.js";
import { makeCheckbox } from "../page/fields.js";
import { requireImage } from "../page/image.js";
import { cssPercent, formatNumber, formatPercent } from "../page/numbers.js";
import * as state from "../page/state.js";
import { fetchExplanation } from "../service/requests.js";
import { conservationText } from "./conservation.js";
import { makeExports } from "./exports.js";

/** @import { Color } from "../map/colors.js" */
/** @import { ChosenImage } from "../page/image.js" */
/** @import { ClassScore, Explanation } from "../service/types.d.ts" */

const APPEARANCE = ["cmap", "smooth", "opacity", "side"]; // what changes no request
const OPACITY = "0.9"; // by default
const MAX_CLASSES = 10;
/** @type {{ image: ChosenImage, explanation: Explanation } | null} */
let last = null;

/**
 * Show the explanation; where only its appearance changed, without a request.
 *
 * @param {AbortSignal} signal
 * @param {string[]} [changed] - the values of the address that changed
 */
export async function show(signal, changed) {
  const image = requireImage();
  const isSame = last?.image === image && changed?.every((name) => APPEARANCE.includes(name));
  if (!isSame) last = null;
  last ??= { image, explanation: await fetchShown(image, signal) };
  const { explanation } = last;
  const table = await tableOf(colormap());
  if (!signal.aborted) draw(explanation, table);
}

/**
 * @param {ChosenImage} image
 * @param {AbortSignal} signal
 */
function fetchShown(image, signal) {
  const nClasses = Math.min(MAX_CLASSES, model().labels.length);
  return fetchExplanation(image, { ...explainOptions(), top_k: nClasses }, signal);
}

/**
 * @param {Explanation} explanation
 * @param {Color[]} table
 */
function draw(explanation, table) {
  const maps = mapCard(explanation, table);
  const classes = classCard(explanation);
  replaceContent(find("#view"), make("div", { class: "answer" }, maps, classes));
}

/**
 * @param {Explanation} explanation
 * @param {Color[]} table
 */
function mapCard(explanation, table) {
  const { target, conservation } = explanation;
  const readout = make(
    "p",
    { class: "readout", id: "readout" },
    "Point at a pixel, tap it, or use the arrow keys, to read its relevance.",
  );
  return make(
    "div",
    { class: "card" },
    make("h2", {}, `Why “${target.label}”${contrastText(explanation)}?`),
    makeMaps(explanation, table, readout),
    readout,
    makeScale(table, boundOf(explanation)),
    appearanceControls(explanation, table),
    make("p", { id: "conservation" }, conservationText(conservation, target.label)),
  );
}

/** @param {Explanation} explanation */
function classCard(explanation) {
  const { predictions } = explanation;
  return make(
    "div",
    { class: "card" },
    make("h2", {}, "What the network sees"),
    classList(explanation),
    make("p", { class: "quiet" }, "Choose a class to see what speaks for it."),
    makeQuestion({
      predicted: predictions[0].label,
      hasTarget: model().labels.length > predictions.length, // else the list has every class
    }),
    makeExports(),
  );
}

/**
 * The heatmap over the image, or both side by side.
 *
 * @param {Explanation} explanation
 * @param {Color[]} table
 * @param {HTMLElement} readout
 */
function makeMaps(explanation, table, readout) {
  const { bitmap } = requireImage();
  const common = { grid: explanation, bitmap, box: explanation.image.box, readout };
  const label = `Relevance for ${explanation.target.label}`;
  const opacity = Number(state.get("opacity", OPACITY));
  const render = { table, bound: boundOf(explanation), opacity, isSmooth: isSmooth() };
  if (!state.get("side")) return makeMap({ ...common, render, label });
  const imageLabel = `The image, as the network saw it; ${label}`;
  return make(
    "div",
    { class: "maps" },
    makeMap({ ...common, render: { ...render, opacity: 0 }, label: imageLabel }),
    makeMap({ ...common, render: { ...render, isOpaque: true }, label }),
  );
}

/**
 * @param {Explanation} explanation
 * @param {Color[]} table
 */
function appearanceControls(explanation, table) {
  const isSideBySide = Boolean(state.get("side"));
  const change = (/** @type {boolean} */ isOn) => state.update({ side: isOn ? 1 : null });
  return make(
    "div",
    { class: "row" },
    isSideBySide
      ? null
      : make("label", { class: "inline-field" }, "Heatmap", opacitySlider(explanation, table)),
    makeCheckbox("Side by side", isSideBySide, change),
  );
}

/**
 * @param {Explanation} explanation
 * @param {Color[]} table
 */
function opacitySlider(explanation, table) {
  const slider = make("input", {
    type: "range",
    id: "opacity",
    min: 0,
    max: 1,
    step: 0.05,
    value: state.get("opacity", OPACITY),
    "aria-label": "Opacity of the heatmap",
  });
  slider.addEventListener("input", () => {
    const opacity = slider.value === OPACITY ? null : slider.value;
    state.update({ opacity }, { isMinor: true });
    find(".map").replaceWith(makeMaps(explanation, table, find("#readout")));
  });
  return slider;
}

/** @param {Explanation} explanation */
function classList({ predictions, target }) {
  const isListed = predictions.some(({ index }) => index === target.index);
  const listed = isListed ? predictions : [...predictions, target];
  const items = listed.map((score) => make("li", {}, classButton(score, target, predictions[0])));
  return make("ul", { class: "classes", id: "classes" }, ...items);
}

/**
 * @param {ClassScore} score
 * @param {ClassScore} target - the class that is explained
 * @param {ClassScore} predicted
 */
function classButton({ index, label, probability, logit }, target, predicted) {
  const bar = make("span", { class: "bar" });
  bar.style.width = cssPercent(probability);
  return make(
    "button",
    {
      type: "button",
      "aria-pressed": String(index === target.index),
      title: `logit ${formatNumber(logit)}`,
      click: () => explainClass(label, index === predicted.index),
    },
    bar,
    make("span", {}, label),
    make("span", {}, formatPercent(probability)),
  );
}
