// A picture of relevance; it tells the number of a pixel.
import { contextOf, make } from "../page/dom.js";
import { addReadout } from "./readout.js";

/** @import { Grid } from "./pixels.js" */

const ROW_SHAPE = "8 / 1"; // of a layer without space

/**
 * @typedef {object} MapOptions
 * @property {Grid} grid
 * @property {ImageData} pixels - the picture
 * @property {string} label - for screen readers
 * @property {HTMLElement} readout - shows the number of a pixel
 */

/**
 * Make a map.
 *
 * @param {MapOptions} options
 */
export function makeMap({ grid, pixels, label, readout }) {
  const { width, height } = pixels;
  // a picture as large as its grid is enlarged by the browser: to squares
  const style = width === grid.width ? "squares" : null;
  const canvas = make("canvas", { width, height, class: style });
  contextOf(canvas).putImageData(pixels, 0, 0);
  const cursor = make("span", { class: "cursor", hidden: true });
  const attributes = { class: "map", tabindex: 0, role: "img", "aria-label": label };
  const map = make("div", attributes, canvas, cursor);
  map.style.aspectRatio = grid.height > 1 ? `${width} / ${height}` : ROW_SHAPE;
  addReadout({ map, cursor, grid, readout });
  return map;
}
