// Relevance as pixels, in the colours that the service's own pictures have.
import { indexOf } from "./colors.js";

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
 */

const LIGHT = 0.35; // share of white that is mixed into the grey picture, as in the service

/**
 * The largest absolute relevance.
 *
 * @param {{ values: Float32Array }} grid
 */
export const boundOf = ({ values }) =>
  values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);

/**
 * The RGBA bytes of a heatmap.
 *
 * @param {Float32Array} values
 * @param {RenderOptions} options
 */
export function heatmapPixels(values, { table, bound }) {
  const pixels = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, i) => {
    const color = table[indexOf(table.length, shareOf(value, bound))];
    pixels.set(color, 4 * i);
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}

/**
 * The RGBA bytes of relevance over a picture in grey. Relevance has the full colour of its sign,
 * and shows by how much it covers: a pale colour as well would weaken it twice.
 *
 * @param {Float32Array} values - one for each pixel of the picture
 * @param {Uint8ClampedArray} picture - RGBA
 * @param {RenderOptions & { opacity: number }} options - `opacity` of the largest relevance, 0 to 1
 */
export function overlayPixels(values, picture, { table, bound, opacity }) {
  const pixels = new Uint8ClampedArray(picture.length);
  const center = (table.length - 1) / 2;
  values.forEach((value, i) => {
    const index = indexOf(table.length, shareOf(value, bound));
    const cover = (opacity * Math.abs(index - center)) / center;
    const color = table[index > center ? table.length - 1 : 0];
    const grey = lightGrey(picture, 4 * i);
    for (let channel = 0; channel < 3; channel += 1) {
      pixels[4 * i + channel] = Math.round(grey * (1 - cover) + color[channel] * cover);
    }
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}

/**
 * @param {number} value
 * @param {number} bound
 */
const shareOf = (value, bound) => (bound ? value / bound : 0);

/**
 * The luma of a pixel (ITU-R 601-2), made lighter.
 *
 * @param {Uint8ClampedArray} picture - RGBA
 * @param {number} at - the offset of the pixel
 */
function lightGrey(picture, at) {
  const luma = 0.299 * picture[at] + 0.587 * picture[at + 1] + 0.114 * picture[at + 2];
  const grey = Math.round(luma);
  return grey + LIGHT * (255 - grey);
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
