// Colour maps as the service lists them: a table of colours, read off a sample strip.
import { decodePng } from "./decode.js";

/** @typedef {number[]} Color - red, green and blue, 0 to 255 */

/** @type {Map<string, Color[]>} */
const tables = new Map();

/**
 * The colours of a map, from against over nothing to for.
 *
 * @param {{ name: string, strip: string }} colormap - `strip` is the base64 of a PNG
 */
export async function tableOf({ name, strip }) {
  const table = tables.get(name) ?? colorsOf(await decodePng(strip));
  tables.set(name, table);
  return table;
}

/**
 * The colours of the first row of RGBA bytes.
 *
 * @param {{ data: Uint8ClampedArray, width: number }} pixels
 * @returns {Color[]}
 */
export const colorsOf = ({ data, width }) =>
  Array.from({ length: width }, (_, i) => [...data.subarray(4 * i, 4 * i + 3)]);

/**
 * The index of a share of the bound, from -1 to 1, in a table of colours.
 *
 * @param {number} nColors - an odd number: the colour of nothing is in the middle
 * @param {number} share
 */
export function indexOf(nColors, share) {
  const center = (nColors - 1) / 2;
  return center + Math.round(center * Math.max(-1, Math.min(1, share)));
}
