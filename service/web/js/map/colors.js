// Colour maps as the service lists them: a table of colours, read off a sample strip.

/** @typedef {number[]} Color - red, green and blue, 0 to 255 */

/** @type {Map<string, Color[]>} */
const tables = new Map();

/**
 * The colours of a map, from against over nothing to for.
 *
 * @param {{ name: string, strip: string }} colormap - `strip` is the base64 of a PNG
 */
export async function tableOf({ name, strip }) {
  const table = tables.get(name) ?? (await readStrip(strip));
  tables.set(name, table);
  return table;
}

/**
 * @param {string} strip
 * @returns {Promise<Color[]>}
 */
async function readStrip(strip) {
  const picture = new Image();
  picture.src = strip.startsWith("data:") ? strip : `data:image/png;base64,${strip}`;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, 1);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, 1);
  return colorsOf(data);
}

/**
 * The colours of RGBA bytes.
 *
 * @param {Uint8ClampedArray} pixels
 * @returns {Color[]}
 */
export const colorsOf = (pixels) =>
  Array.from({ length: pixels.length / 4 }, (_, i) => [...pixels.subarray(4 * i, 4 * i + 3)]);

/**
 * The colour of a share of the bound, from -1 to 1.
 *
 * @param {Color[]} table
 * @param {number} share
 */
export function colorOf(table, share) {
  const position = ((table.length - 1) * (Math.max(-1, Math.min(1, share)) + 1)) / 2;
  return table[Math.round(position)];
}
