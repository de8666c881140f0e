// The view of one explanation.
import { relevanceOf } from "../service/requests.js";
import { tableOf } from "../map/colors.js";
import { colormap, isSmooth, model } from "../method/controls.js";
import { find, length, make, percent, renew, short, toggle } from "../page/dom.js";
import { makeExports } from "./exports.js";
import { image } from "../page/image.js";
import { boundOf, makeMap, makeScale } from "../map/map.js";
import { askFor, contrastText, explainOptions, question } from "../method/question.js";
import * as state from "../page/state.js";

const LOOKS = ["cmap", "smooth", "opacity", "side"];
const MAX_CLASSES = 10;
let last = null;

/** Show the explanation; where only looks have changed, of the answer that is there. */
export async function show(signal, changed) {
  const isSame = last?.image === image() && changed?.every((name) => LOOKS.includes(name));
  if (!isSame) {
    const asked = image();
    const options = { ...explainOptions(), top_k: Math.min(MAX_CLASSES, model().labels.length) };
    last = null;
    const answer = await relevanceOf(asked, options, signal);
    last = { image: asked, answer };
  }
  const table = await tableOf(colormap());
  if (!signal.aborted) draw(last.answer, table);
}

function draw(answer, table) {
  const readout = make(
    "p",
    { class: "readout", id: "readout" },
    "Point at a pixel, tap it, or use the arrow keys, to read its relevance.",
  );
  const bound = boundOf(answer);
  renew(
    find("#view"),
    make(
      "div",
      { class: "answer" },
      make(
        "div",
        { class: "card" },
        make("h2", {}, `Why “${answer.target.label}”${contrastText(answer)}?`),
        pictures(answer, table, bound, readout),
        readout,
        makeScale(table, bound),
        looks(answer, table),
        make("p", { id: "conservation" }, conservationText(answer)),
      ),
      make(
        "div",
        { class: "card" },
        make("h2", {}, "What it sees"),
        classes(answer),
        make("p", { class: "quiet" }, "Choose a class to see what speaks for it."),
        question({
          predicted: answer.predictions[0].label,
          hasTarget: model().labels.length > answer.predictions.length,
        }),
        makeExports(),
      ),
    ),
  );
}

function pictures(answer, table, bound, readout) {
  const { bitmap } = image();
  const common = { found: answer, bitmap, box: answer.image.box, readout };
  const label = `Relevance for ${answer.target.label}`;
  const view = { table, bound, opacity: Number(state.get("opacity", "0.9")), isSmooth: isSmooth() };
  if (!state.get("side")) return makeMap({ ...common, view, label });
  return make(
    "div",
    { class: "maps" },
    makeMap({
      ...common,
      view: { ...view, opacity: 0 },
      label: `The image, as the network saw it; ${label}`,
    }),
    makeMap({ ...common, view: { ...view, isAlone: true }, label }),
  );
}

function looks(answer, table) {
  const slider = make("input", {
    type: "range",
    id: "opacity",
    min: 0,
    max: 1,
    step: 0.05,
    value: state.get("opacity", "0.9"),
    "aria-label": "Opacity of the heatmap",
  });
  slider.addEventListener("input", () => {
    state.update({ opacity: slider.value === "0.9" ? null : slider.value }, { isSmall: true });
    find(".map").replaceWith(pictures(answer, table, boundOf(answer), find("#readout")));
  });
  return make(
    "div",
    { class: "row" },
    state.get("side") ? null : make("label", { class: "switch" }, "Heatmap", slider),
    toggle("Side by side", Boolean(state.get("side")), (isOn) =>
      state.update({ side: isOn ? 1 : null }),
    ),
  );
}

function classes(answer) {
  const chosen = answer.target.index;
  const isListed = answer.predictions.some(({ index }) => index === chosen);
  const listed = isListed ? answer.predictions : [...answer.predictions, answer.target];
  return make(
    "ul",
    { class: "classes", id: "classes" },
    ...listed.map(({ index, label, probability, logit }) => {
      const bar = make("span", { class: "bar" });
      bar.style.width = length(probability);
      return make(
        "li",
        {},
        make(
          "button",
          {
            type: "button",
            "aria-pressed": String(index === chosen),
            title: `logit ${short(logit)}`,
            click: () => askFor(label, index === answer.predictions[0].index),
          },
          bar,
          make("span", {}, label),
          make("span", {}, percent(probability)),
        ),
      );
    }),
  );
}

/** What the conservation of relevance means, in words. */
function conservationText({ conservation: { start, arrived, ratio }, target }) {
  if (ratio === null) {
    return start === 0
      ? `A contrast starts with as much for as against; ${short(arrived)} of relevance arrived in all.`
      : "This method does not conserve relevance: its values compare with each other, their sum means nothing.";
  }
  if (ratio < 0)
    return `More speaks against “${target.label}” than for it: the relevance adds up to ${percent(ratio)} of what it started with.`;
  const share = `${percent(ratio)} of the relevance arrived at the pixels`;
  if (Math.abs(ratio - 1) < 0.01) return `${share}: nothing was lost on the way.`;
  return `${share}; ${ratio < 1 ? "the rest stayed with" : "the surplus came from"} the network's biases and stabilizers.`;
}
