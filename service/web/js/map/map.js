// A map of relevance over its picture; it tells the number of a pixel.
import { contextOf, make } from "../page/dom.js";
import { heatmapPixels } from "./pixels.js";
import { addReadout } from "./readout.js";
import { smooth } from "./smooth.js";

/** @import { Grid, RenderOptions } from "./pixels.js" */
/** @typedef {[left: number, top: number, right: number, bottom: number]} Box */

const PICTURE_PIXELS = 512;
const ROW_SHAPE = "8 / 1"; // of a layer without space

/**
 * @typedef {object} MapOptions
 * @property {Grid} grid
 * @property {RenderOptions} render
 * @property {string} label - for screen readers
 * @property {HTMLElement} readout - shows the number of a pixel
 * @property {ImageBitmap | null} [bitmap] - the image
 * @property {Box} [box] - what the network saw of it
 */

/**
 * Make a map.
 *
 * @param {MapOptions} options
 */
export function makeMap({ grid, render, label, readout, bitmap = null, box }) {
  const hasSpace = grid.height > 1;
  const shown = render.isSmooth && hasSpace ? smooth(grid) : grid;
  const picture = make("canvas", { class: "picture" });
  const heatmap = make("canvas", { class: "heat", width: shown.width, height: shown.height });
  const cursor = make("span", { class: "cursor", hidden: true });
  const attributes = { class: "map", tabindex: 0, role: "img", "aria-label": label };
  const map = make("div", attributes, picture, heatmap, cursor);
  map.style.aspectRatio = hasSpace ? aspectRatio(grid, bitmap ? box : undefined) : ROW_SHAPE;
  if (bitmap && box && !render.isOpaque) drawPicture(picture, bitmap, box);
  drawHeatmap(heatmap, shown, { ...render, isOpaque: render.isOpaque || !bitmap });
  addReadout({ map, cursor, grid, readout });
  return map;
}

/**
 * @param {Grid} grid
 * @param {Box} [box]
 */
function aspectRatio({ width, height }, box) {
  if (!box) return `${width} / ${height}`;
  const [left, top, right, bottom] = box;
  return `${right - left} / ${bottom - top}`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap} bitmap
 * @param {Box} box
 */
function drawPicture(canvas, bitmap, [left, top, right, bottom]) {
  const scale = PICTURE_PIXELS / Math.max(right - left, bottom - top);
  canvas.width = Math.round(scale * (right - left));
  canvas.height = Math.round(scale * (bottom - top));
  const context = contextOf(canvas);
  context.imageSmoothingEnabled = scale < 1; // enlarged, its pixels stay squares as the map's do
  const [width, height] = [scale * bitmap.width, scale * bitmap.height];
  context.drawImage(bitmap, -left * scale, -top * scale, width, height);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Grid} grid
 * @param {RenderOptions} options
 */
function drawHeatmap(canvas, { values, width, height }, options) {
  const pixels = new ImageData(heatmapPixels(values, options), width, height);
  contextOf(canvas).putImageData(pixels, 0, 0);
}
