// Relevance on a finer grid, as the service's option `enlarge` has it.

/** @import { Grid } from "./pixels.js" */
/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ before: number, after: number, share: number }} Place - between two pixels */

/**
 * Enlarge a map to a size in pixels: its pixels become squares, or, smoothly, values between their
 * centres are interpolated; beyond the outer centres nothing changes.
 *
 * @param {Grid} grid
 * @param {Size} size
 * @param {boolean} isSmooth
 * @returns {Grid}
 */
export function enlarge({ values, width, height }, size, isSmooth) {
  const places = isSmooth ? placesBetween : placesOf;
  const [columns, rows] = [places(width, size.width), places(height, size.height)];
  const fine = new Float32Array(size.width * size.height);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      const above = between(column, row.before * width, values);
      const below = row.share ? between(column, row.after * width, values) : above;
      fine[y * size.width + x] = (1 - row.share) * above + row.share * below;
    });
  });
  return { values: fine, ...size };
}

/**
 * The value at a place of a row that starts at an offset.
 *
 * @param {Place} place
 * @param {number} offset
 * @param {Float32Array} values
 */
const between = ({ before, after, share }, offset, values) =>
  (1 - share) * values[offset + before] + share * values[offset + after];

/**
 * For each place of the finer grid: the pixel that its centre is in.
 *
 * @param {number} n - pixels
 * @param {number} nPlaces
 * @returns {Place[]}
 */
function placesOf(n, nPlaces) {
  return Array.from({ length: nPlaces }, (_, i) => {
    const before = Math.floor(((2 * i + 1) * n) / (2 * nPlaces));
    return { before, after: before, share: 0 };
  });
}

/**
 * For each place of the finer grid: the pixels before and after it, and how far it is between.
 *
 * @param {number} n - pixels
 * @param {number} nPlaces
 * @returns {Place[]}
 */
function placesBetween(n, nPlaces) {
  return Array.from({ length: nPlaces }, (_, i) => {
    const position = Math.max(0, Math.min(n - 1, ((i + 0.5) * n) / nPlaces - 0.5));
    const before = Math.floor(position);
    return { before, after: Math.min(n - 1, before + 1), share: position - before };
  });
}
