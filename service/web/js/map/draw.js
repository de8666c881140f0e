// The pictures of a map: a heatmap, or relevance over the image in grey.
import { enlarge } from "./enlarge.js";
import { heatmapPixels, overlayPixels } from "./pixels.js";

/** @import { Size } from "./enlarge.js" */
/** @import { Grid, RenderOptions } from "./pixels.js" */
/** @typedef {RenderOptions & { isSmooth: boolean }} DrawOptions */

const SMOOTH_PIXELS = 256;

/**
 * A heatmap of a size; by default as large as its grid, whose pixels the page shows as squares.
 *
 * @param {Grid} grid
 * @param {DrawOptions} options
 * @param {Size} [size]
 */
export function drawHeatmap(grid, options, size = defaultSize(grid, options)) {
  const { values, width, height } = enlarge(grid, size, options.isSmooth && grid.height > 1);
  return new ImageData(heatmapPixels(values, options), width, height);
}

/**
 * Relevance over a picture, of the picture's size.
 *
 * @param {Grid} grid
 * @param {ImageData} picture
 * @param {DrawOptions & { opacity: number }} options
 */
export function drawOverlay(grid, picture, options) {
  const { values, width, height } = enlarge(grid, sizeOf(picture), options.isSmooth);
  return new ImageData(overlayPixels(values, picture.data, options), width, height);
}

/**
 * @param {Size} picture
 * @returns {Size}
 */
export const sizeOf = ({ width, height }) => ({ width, height });

/**
 * @param {Grid} grid
 * @param {DrawOptions} options
 * @returns {Size}
 */
function defaultSize({ width, height }, { isSmooth }) {
  const scale = isSmooth ? Math.max(1, Math.round(SMOOTH_PIXELS / Math.max(width, height))) : 1;
  return { width: scale * width, height: scale * height };
}
