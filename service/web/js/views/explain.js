// The view of one explanation.
import { tableOf } from "../map/colors.js";
import { drawHeatmap, drawOverlay, sizeOf } from "../map/draw.js";
import { makeMap } from "../map/map.js";
import { fetchWithView } from "../map/pictures.js";
import { boundOf } from "../map/pixels.js";
import { makeScale } from "../map/scale.js";
import { contrastText } from "../method/label.js";
import { attributor, colormap, composites, isSmooth, model } from "../method/models.js";
import { explainClass, explainOptions, makeQuestion } from "../method/question.js";
import { find, make, replaceContent } from "../page/dom.js";
import { makeCheckbox } from "../page/fields.js";
import { requireImage } from "../page/image.js";
import { cssPercent, formatNumber, formatPercent } from "../page/numbers.js";
import * as state from "../page/state.js";
import { accountText, startText } from "./account.js";
import { evidencePanel } from "./evidence.js";
import { makeExports } from "./exports.js";

/** @import { Color } from "../map/colors.js" */
/** @import { ChosenImage } from "../page/image.js" */
/** @import { ClassScore, Explanation } from "../service/types.d.ts" */

const APPEARANCE = ["cmap", "enlarge", "opacity", "side", "evidence"]; // what changes no map
const OPACITY = "0.9"; // of the largest relevance, by default: as in the service
const MAX_CLASSES = 10;

/**
 * What is shown.
 *
 * @typedef {object} Shown
 * @property {Explanation} explanation
 * @property {ImageData} view - what the network saw of the image
 * @property {Color[]} table
 * @property {HTMLElement | null} evidence - whether the map is right
 */

/** @type {{ image: ChosenImage, fetched: Pick<Shown, "explanation" | "view"> } | null} */
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
  const fetched = last?.fetched ?? (await fetchShown(image, signal));
  const table = await tableOf(colormap());
  if (signal.aborted) return;
  last = { image, fetched };
  const evidence = evidencePanel(fetched.explanation, image, signal);
  draw({ ...fetched, table, evidence });
}

/**
 * @param {ChosenImage} image
 * @param {AbortSignal} signal
 */
function fetchShown(image, signal) {
  const nClasses = Math.min(MAX_CLASSES, model().labels.length);
  const options = { ...explainOptions(), top_k: nClasses };
  return fetchWithView(image, options, model().input_size, signal);
}

/** @param {Shown} shown */
function draw(shown) {
  replaceContent(find("#view"), make("div", { class: "answer" }, mapCard(shown), classCard(shown)));
}

/** @param {Shown} shown */
function mapCard(shown) {
  const { explanation, table } = shown;
  const readout = make(
    "p",
    { class: "readout", id: "readout" },
    "Point at a pixel, tap it, or use the arrow keys, to read its relevance.",
  );
  return make(
    "div",
    { class: "card" },
    make("h2", {}, `Why “${explanation.target.label}”${contrastText(explanation)}?`),
    makeMaps(shown, readout),
    readout,
    makeScale(table, boundOf(explanation)),
    appearanceControls(shown),
    make("p", { id: "account" }, accountText(explanation)),
    attributor().is_modified ? startNote(explanation) : null,
    shown.evidence,
  );
}

/** @param {Explanation} explanation */
function startNote(explanation) {
  const used = composites().find(({ name }) => name === explanation.method.composite);
  return make("p", { id: "start", class: "quiet" }, startText(explanation, used?.start));
}

/** @param {Shown} shown */
function classCard(shown) {
  const { explanation } = shown;
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
    makeExports({
      table: shown.table,
      bound: boundOf(explanation),
      overlay: () => overlayOf(shown),
      heatmap: () => heatmapOf(shown),
    }),
  );
}

/**
 * The heatmap over the image in grey, or both side by side.
 *
 * @param {Shown} shown
 * @param {HTMLElement} readout
 */
function makeMaps(shown, readout) {
  const { explanation, view } = shown;
  const common = { grid: explanation, readout };
  const label = `Relevance for ${explanation.target.label}`;
  if (!state.get("side")) return makeMap({ ...common, pixels: overlayOf(shown), label });
  const imageLabel = `The image, as the network saw it; ${label}`;
  return make(
    "div",
    { class: "maps" },
    makeMap({ ...common, pixels: view, label: imageLabel }),
    makeMap({ ...common, pixels: heatmapOf(shown), label }),
  );
}

/** @param {Shown} shown */
function overlayOf({ explanation, view, table }) {
  const opacity = Number(state.get("opacity", OPACITY));
  const options = { table, bound: boundOf(explanation), opacity, isSmooth: isSmooth(true) };
  return drawOverlay(explanation, view, options);
}

/** @param {Shown} shown */
function heatmapOf({ explanation, view, table }) {
  const options = { table, bound: boundOf(explanation), isSmooth: isSmooth() };
  return drawHeatmap(explanation, options, sizeOf(view));
}

/** @param {Shown} shown */
function appearanceControls(shown) {
  const isSideBySide = Boolean(state.get("side"));
  const change = (/** @type {boolean} */ isOn) => state.update({ side: isOn ? 1 : null });
  return make(
    "div",
    { class: "row" },
    isSideBySide ? null : make("label", { class: "inline-field" }, "Heatmap", opacitySlider(shown)),
    makeCheckbox("Side by side", isSideBySide, change),
  );
}

/** @param {Shown} shown */
function opacitySlider(shown) {
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
    find(".map").replaceWith(makeMaps(shown, find("#readout")));
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
