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
import { isCancelled, isRefused, problemOf } from "../page/status.js";
import { forEachConcurrently, getExplanation, getLayers } from "../service/answers.js";
import { sumsByLayer } from "./account.js";

/** @import { Color } from "../map/colors.js" */
/** @import { RequestError } from "../page/status.js" */
/** @import { Sendable } from "../service/requests.js" */
/** @import { Conservation, Explanation, Grid } from "../service/types.d.ts" */

/**
 * What the maps of all layers have in common.
 *
 * @typedef {object} Drawing
 * @property {Sendable} image
 * @property {Color[]} table
 * @property {AbortSignal} signal
 */

/**
 * Show the layers, from the image to the network's output.
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
  draw(input);
  await loadMaps({ image, table, signal });
}

/**
 * Load and draw the maps: one request has all of them; layers that it lacks have one each. Where
 * that request fails, its problem stands in the place of the maps.
 *
 * @param {Drawing} drawing
 */
async function loadMaps(drawing) {
  const names = [...new Set(model().layers.map(({ name }) => name))].reverse();
  const columns = new Map(names.map((name) => [name, makeColumn(name)]));
  replaceContent(find("#layers"), ...columns.values());
  try {
    const grids = await loadAll(drawing);
    if (drawing.signal.aborted) return;
    for (const [name, column] of columns) {
      const grid = grids.get(name);
      if (grid) drawLayer(column, name, grid, drawing.table);
    }
    const rest = [...columns].filter(([name]) => !grids.has(name));
    await forEachConcurrently(rest, ([name, column]) => loadLayer(column, name, drawing));
  } catch (error) {
    if (isCancelled(error)) throw error;
    const problem = problemOf(/** @type {RequestError} */ (error), () => loadMaps(drawing));
    replaceContent(find("#layers"), problem);
  }
}

/**
 * The relevance at all layers by name; empty where the service refuses to give it at once, such as
 * with SmoothGrad, or as a response too large.
 *
 * @param {Drawing} drawing
 * @returns {Promise<Map<string, Grid>>}
 */
async function loadAll({ image, signal }) {
  if (attributor().name !== "gradient") return new Map();
  try {
    return await getLayers(image, explainOptions(), signal);
  } catch (error) {
    if (isRefused(/** @type {RequestError} */ (error))) return new Map();
    throw error;
  }
}

/**
 * Load and draw one map. A problem stands in its place: the others are shown all the same.
 *
 * @param {HTMLElement} column
 * @param {string} name
 * @param {Drawing} drawing
 */
async function loadLayer(column, name, drawing) {
  const { image, table, signal } = drawing;
  try {
    const explanation = await getExplanation(image, { ...explainOptions(), layer: name }, signal);
    if (!signal.aborted) drawLayer(column, name, explanation, table);
  } catch (error) {
    if (isCancelled(error)) throw error;
    const retry = () => {
      replaceContent(column, ...loading(name));
      loadLayer(column, name, drawing);
    };
    const problem = problemOf(/** @type {RequestError} */ (error), retry);
    replaceContent(column, heading(name), problem);
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
 * Draw all but the maps.
 *
 * @param {Explanation} input - the explanation at the pixels
 */
function draw(input) {
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
    make("div", { class: "columns small", id: "layers" }),
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
