// The colour bar of a map, with its scale.
import { contextOf, make } from "../page/dom.js";
import { formatNumber } from "../page/numbers.js";

/** @import { Color } from "./colors.js" */

/**
 * @param {Color[]} table
 * @param {number} bound - the absolute relevance at either end
 * @param {{ isNarrow?: boolean }} [options] - `isNarrow`: there is room for numbers only
 */
export function makeScale(table, bound, { isNarrow = false } = {}) {
  const attributes = { width: table.length, height: 1, role: "img", "aria-label": "Colour scale" };
  const canvas = make("canvas", attributes);
  const pixels = Uint8ClampedArray.from(table.flatMap((color) => [...color, 255]));
  contextOf(canvas).putImageData(new ImageData(pixels, table.length, 1), 0, 0);
  const texts = scaleTexts(bound).map((text) =>
    make("span", {}, isNarrow ? text.split(" ")[0] : text),
  );
  return make("div", { class: "scale" }, canvas, make("div", {}, ...texts));
}

/**
 * What stands below the bar: at its left end, its middle and its right end.
 *
 * @param {number} bound
 */
export function scaleTexts(bound) {
  if (!bound) return ["", "0", ""]; // no relevance, no scale
  const end = formatNumber(bound);
  return [`−${end} against`, "0", `+${end} for`];
}
