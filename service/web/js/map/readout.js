// The number of a pixel, under the pointer or by the arrow keys.
import { formatNumber } from "../page/numbers.js";
import { clampIndex, indexAt } from "./pixels.js";

/** @import { Grid } from "./pixels.js" */
/** @typedef {{ column: number, row: number }} Pixel */

/** @type {Record<string, Pixel>} */
const STEPS = {
  ArrowLeft: { column: -1, row: 0 },
  ArrowRight: { column: 1, row: 0 },
  ArrowUp: { column: 0, row: -1 },
  ArrowDown: { column: 0, row: 1 },
};

/**
 * @typedef {object} Readout
 * @property {HTMLElement} map
 * @property {HTMLElement} cursor - marks the pixel
 * @property {Grid} grid
 * @property {HTMLElement} readout - shows the number
 */

/**
 * Show the number of the pixel that is pointed at, tapped, or moved to by the arrow keys.
 *
 * @param {Readout} parts
 */
export function addReadout({ map, cursor, grid, readout }) {
  const { width, height } = grid;
  let pixel = { column: width >> 1, row: height >> 1 };
  const show = () => showPixel(pixel, { map, cursor, grid, readout });
  /** @param {PointerEvent} event */
  const point = ({ clientX, clientY }) => {
    const place = map.getBoundingClientRect();
    pixel = {
      column: indexAt((clientX - place.left) / place.width, width),
      row: indexAt((clientY - place.top) / place.height, height),
    };
    show();
  };
  const hide = () => {
    cursor.hidden = true;
  };
  map.addEventListener("pointermove", point);
  map.addEventListener("pointerdown", point); // a tap does not move
  map.addEventListener("pointerleave", hide);
  map.addEventListener("blur", hide);
  map.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    pixel = {
      column: clampIndex(pixel.column + step.column, width),
      row: clampIndex(pixel.row + step.row, height),
    };
    readout.setAttribute("aria-live", "polite"); // not by the pointer, which passes hundreds
    show();
  });
}

/**
 * @param {Pixel} pixel
 * @param {Readout} parts
 */
function showPixel({ column, row }, { cursor, grid: { values, width, height }, readout }) {
  const value = values[row * width + column];
  readout.textContent = `Row ${row}, column ${column}: ${formatNumber(value)}`;
  Object.assign(readout.dataset, { row, column, value });
  Object.assign(cursor.style, {
    left: `${(100 * column) / width}%`,
    top: `${(100 * row) / height}%`,
    width: `${100 / width}%`,
    height: `${100 / height}%`,
  });
  cursor.hidden = false;
}
