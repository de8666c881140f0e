// Relevance on a finer grid, as `enlarge=smooth` has it.

/** @import { Grid } from "./pixels.js" */
/** @typedef {{ before: number, after: number, share: number }} Place - between two pixels */

const SMOOTH_PIXELS = 256;

/**
 * Interpolate linearly between the centres of pixels; beyond the outer ones nothing changes.
 *
 * @param {Grid} grid
 * @returns {Grid}
 */
export function smooth({ values, width, height }) {
  const scale = Math.max(1, Math.round(SMOOTH_PIXELS / Math.max(width, height)));
  const columns = placesOf(width, scale);
  const fine = new Float32Array(width * height * scale ** 2);
  placesOf(height, scale).forEach((row, y) => {
    columns.forEach((column, x) => {
      const above = between(column, row.before * width, values);
      const below = between(column, row.after * width, values);
      fine[y * width * scale + x] = (1 - row.share) * above + row.share * below;
    });
  });
  return { values: fine, width: width * scale, height: height * scale };
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
 * For each place of the finer grid: the pixels before and after it, and how far it is between.
 *
 * @param {number} n
 * @param {number} scale
 * @returns {Place[]}
 */
function placesOf(n, scale) {
  return Array.from({ length: n * scale }, (_, i) => {
    const position = Math.max(0, Math.min(n - 1, (i + 0.5) / scale - 0.5));
    const before = Math.floor(position);
    return { before, after: Math.min(n - 1, before + 1), share: position - before };
  });
}
