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
 * A picture whose longer side is `side`, smoothly enlarged as the service does.
 *
 * @param {ImageData} picture
 * @param {number} side - in pixels
 */
export function enlargePicture(picture, side) {
  const { width, height, data } = picture;
  const scale = side / Math.max(width, height);
  if (scale <= 1) return picture;
  const size = { width: Math.round(scale * width), height: Math.round(scale * height) };
  const enlarged = new ImageData(size.width, size.height);
  for (let channel = 0; channel < 4; channel += 1) {
    const values = Float32Array.from({ length: width * height }, (_, i) => data[4 * i + channel]);
    const fine = enlarge({ values, width, height }, size, true);
    fine.values.forEach((value, i) => {
      enlarged.data[4 * i + channel] = value; // is rounded
    });
  }
  return enlarged;
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
