// The view of the relevance at each layer.
import { tableOf } from "../map/colors.js";
import { drawHeatmap } from "../map/draw.js";
import { makeMap } from "../map/map.js";
import { boundOf } from "../map/pixels.js";
import { contrastText } from "../method/label.js";
import { attributor, colormap, isSmooth, loadModels, model } from "../method/models.js";
import { explainOptions, makeQuestion } from "../method/question.js";
import { find, make, replaceContent } from "../page/dom.js";
import { requireImage } from "../page/image.js";
import { cssPercent, formatNumber, words } from "../page/numbers.js";
import { isCancelled, problemOf } from "../page/status.js";
import { forEachConcurrently, getExplanation, getLayers } from "../service/answers.js";
import { sumsByLayer } from "./account.js";

/** @import { Color } from "../map/colors.js" */
/** @import { RequestError, Retry } from "../page/status.js" */
/** @import { Conservation, Explanation, Grid } from "../service/types.d.ts" */

/**
 * Show the layers, from the image to the network's output.
 *
 * One request has all of them where the attributor allows it; else each has its own, and is drawn
 * as it arrives. So it is where that request fails: the layers that can be shown are.
 *
 * @param {AbortSignal} signal
 */
export async function show(signal) {
  if (!attributor().is_modified) {
    drawWithoutLayers();
    return;
  }
  const image = requireImage();
  const input = await getExplanation(image, { ...explainOptions(), layer: "input" }, signal);
  if (!model().layers.length) await loadModels(); // the model was still loading before
  const table = await tableOf(colormap());
  if (signal.aborted) return;
  const names = [...new Set(model().layers.map(({ name }) => name))].reverse();
  const columns = names.map(makeColumn);
  draw(columns, input);
  const all = await loadAll(signal);
  if (signal.aborted) return;
  if (all) {
    names.forEach((name, i) => {
      const grid = all.get(name);
      if (grid) drawLayer(columns[i], name, grid, table);
    });
    return;
  }
  /** @type {(name: string, i: number) => Promise<void>} */
  const load = async (name, i) => {
    try {
      const options = { ...explainOptions(), layer: name };
      const explanation = await getExplanation(image, options, signal);
      if (!signal.aborted) drawLayer(columns[i], name, explanation, table);
    } catch (error) {
      if (isCancelled(error)) throw error;
      drawProblem(columns[i], name, /** @type {RequestError} */ (error), () => load(name, i));
    }
  };
  await forEachConcurrently(names, load);
}

/**
 * The relevance at all layers; null where one request cannot give it.
 *
 * @param {AbortSignal} signal
 */
async function loadAll(signal) {
  if (attributor().name !== "gradient") return null;
  try {
    return await getLayers(requireImage(), explainOptions(), signal);
  } catch (error) {
    if (isCancelled(error)) throw error;
    return null;
  }
}

function drawWithoutLayers() {
  const name = words(attributor().name);
  replaceContent(
    find("#view"),
    make(
      "div",
      { class: "card" },
      make("h2", {}, "Relevance by layer"),
      make(
        "p",
        {},
        `The attributor ${name} explains the network as a whole: it has no relevance at its ` +
          "layers. Choose the attributor gradient.",
      ),
    ),
  );
}

/**
 * The name of a layer, whose line may break after a dot.
 *
 * @param {string} name
 */
const breakable = (name) => name.split(/(?<=\.)/).flatMap((part) => [part, make("wbr")]);

/** @param {string} name */
const heading = (name) => make("h3", {}, ...breakable(name));

/** @param {string} name */
const makeColumn = (name) => make("article", { class: "column" }, ...loading(name));

/**
 * A layer whose map is on its way.
 *
 * @param {string} name
 */
const loading = (name) => [heading(name), make("div", { class: "map", "aria-busy": "true" })];

/**
 * A problem stands in its layer's place: the others are shown all the same.
 *
 * @param {HTMLElement} column
 * @param {string} name
 * @param {RequestError} error
 * @param {NonNullable<Retry>} load
 */
function drawProblem(column, name, error, load) {
  const retry = () => {
    replaceContent(column, ...loading(name));
    load();
  };
  replaceContent(column, heading(name), problemOf(error, retry));
}

/**
 * Draw all but the maps, which come one after the other.
 *
 * @param {HTMLElement[]} columns
 * @param {Explanation} input - the explanation at the pixels
 */
function draw(columns, input) {
  const { target, conservation, predictions } = input;
  const sums = make(
    "div",
    { class: "card" },
    make("h2", {}, `Relevance of “${target.label}”${contrastText(input)} by layer`),
    makeQuestion({ predicted: predictions[0].label }),
    flow(conservation),
  );
  const maps = make(
    "div",
    { class: "card" },
    make("h2", {}, "Relevance maps"),
    make("p", { class: "quiet" }, "Summed over channels; each layer on its own scale."),
    make("div", { class: "columns small", id: "layers" }, ...columns),
  );
  replaceContent(find("#view"), make("div", { class: "stack" }, sums, maps));
}

/**
 * A bar for the sum of the relevance at each layer.
 *
 * @param {Conservation} conservation
 */
function flow(conservation) {
  const sums = sumsByLayer(conservation);
  if (!sums.length) {
    return make("p", {}, "This method does not conserve relevance: its sums cannot be compared.");
  }
  const largest = Math.max(...sums.map(({ arrived }) => Math.abs(arrived)));
  const rows = sums.map(({ layer, arrived }) => {
    const bar = make("i", { class: arrived < 0 ? "against" : "for" });
    bar.style.width = largest ? cssPercent(Math.abs(arrived) / largest) : "0";
    const name = make("span", {}, ...breakable(layer));
    return make("div", {}, name, bar, make("span", {}, formatNumber(arrived)));
  });
  return make("div", { class: "flow", id: "flow" }, ...rows);
}

/**
 * @param {HTMLElement} column
 * @param {string} name
 * @param {Grid} grid
 * @param {Color[]} table
 */
function drawLayer(column, name, grid, table) {
  const readout = make("p", { class: "readout quiet" });
  const layer = model().layers.find((entry) => entry.name === name);
  const bound = boundOf(grid);
  const map = makeMap({
    grid,
    pixels: drawHeatmap(grid, { table, bound, isSmooth: isSmooth() }),
    label: `Relevance at ${name}`,
    readout,
  });
  const facts = `${layer?.kind} · ${layer?.shape.join("×")} · largest ${formatNumber(bound)}`;
  column.replaceChildren(heading(name), map, make("p", { class: "quiet" }, facts), readout);
}
