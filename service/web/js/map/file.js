// A picture of relevance as a file: as it is on the screen, with its scale below it.
import { scaleTexts } from "./scale.js";

/** @import { Color } from "./colors.js" */

const [BAR, TEXT, GAP] = [14, 16, 6]; // heights in pixels
const [PAPER, INK] = ["#fff", "#202020"];

/**
 * A PNG of a picture with its scale.
 *
 * @param {ImageData} picture
 * @param {Color[]} table
 * @param {number} bound - the absolute relevance at either end of the scale
 */
export function pictureFile(picture, table, bound) {
  const { width, height } = picture;
  const canvas = new OffscreenCanvas(width, height + 3 * GAP + BAR + TEXT);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  context.fillStyle = PAPER;
  context.fillRect(0, 0, width, canvas.height);
  context.putImageData(picture, 0, 0);
  table.forEach((color, i) => {
    const [left, right] = [i, i + 1].map((n) => Math.round((n * width) / table.length));
    context.fillStyle = `rgb(${color.join(" ")})`;
    context.fillRect(left, height + GAP, right - left, BAR);
  });
  drawTexts(context, width, height + 2 * GAP + BAR, scaleTexts(bound));
  return canvas.convertToBlob({ type: "image/png" });
}

/**
 * @param {OffscreenCanvasRenderingContext2D} context
 * @param {number} width
 * @param {number} top
 * @param {string[]} texts - at the left end, in the middle and at the right end
 */
function drawTexts(context, width, top, texts) {
  context.fillStyle = INK;
  context.font = `${TEXT - 3}px system-ui, sans-serif`;
  context.textBaseline = "top";
  /** @type {[CanvasTextAlign, number][]} */
  const places = [
    ["left", 0],
    ["center", width / 2],
    ["right", width],
  ];
  places.forEach(([align, x], i) => {
    context.textAlign = align;
    context.fillText(texts[i], x, top);
  });
}
