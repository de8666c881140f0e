// Relevance as pixels.
import { colorOf } from "./colors.js";

/** @import { Color } from "./colors.js" */

/**
 * Relevance on a grid, row by row.
 *
 * @typedef {{ values: Float32Array, width: number, height: number }} Grid
 */

/**
 * How a map is drawn.
 *
 * @typedef {object} RenderOptions
 * @property {Color[]} table - the colours from against over nothing to for
 * @property {number} bound - the absolute relevance that has the full colour
 * @property {number} [opacity] - over a picture: 0 to 1
 * @property {boolean} [isOpaque] - the colours stand without a picture
 * @property {boolean} [isSmooth] - interpolated, rather than squares
 */

/**
 * The largest absolute relevance.
 *
 * @param {{ values: Float32Array }} grid
 */
export const boundOf = ({ values }) =>
  values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);

/**
 * The RGBA bytes of a heatmap. Over a picture relevance has the full colour of its sign, and shows
 * by its opacity: a pale colour as well would weaken it twice.
 *
 * @param {Float32Array} values
 * @param {RenderOptions} options
 */
export function heatmapPixels(values, { table, bound, opacity = 1, isOpaque = false }) {
  const pixels = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, i) => {
    const share = bound ? value / bound : 0;
    const color = colorOf(table, isOpaque ? share : Math.sign(share));
    const alpha = isOpaque ? 255 : 255 * opacity * Math.min(1, Math.abs(share));
    pixels.set([...color, alpha], 4 * i);
  });
  return pixels;
}

/**
 * The row or column of a place in an element, as a share of its side.
 *
 * @param {number} share
 * @param {number} n - rows or columns
 */
export const indexAt = (share, n) => clampIndex(Math.floor(share * n), n);

/**
 * The nearest index from 0 to n - 1.
 *
 * @param {number} index
 * @param {number} n
 */
export const clampIndex = (index, n) => Math.max(0, Math.min(n - 1, index));
