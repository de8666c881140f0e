// A map of relevance over its picture: drawn from the numbers, which it also tells.
import { colorOf } from "./colors.js";
import { make, short } from "../page/dom.js";
import { smooth } from "./smooth.js";

const PICTURE_PIXELS = 512;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The largest absolute relevance. */
export const boundOf = ({ values }) =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/**
 * Make a map.
 *
 * `found` has `values`, `width` and `height`; `view` has `table`, `bound` and `opacity`, `isAlone` where
 * the colours stand without a picture, and `isSmooth` where they are not to be squares; `bitmap` and `box` say what the network saw.
 */
export function makeMap({ found, view, bitmap, box, label, readout }) {
  const picture = make("canvas", { class: "picture" });
  const shown = view.isSmooth && found.height > 1 ? smooth(found) : found; // a row of units has no places
  const heat = make("canvas", { class: "heat", width: shown.width, height: shown.height });
  const cursor = make("span", { class: "cursor", hidden: true });
  const map = make(
    "div",
    { class: "map", tabindex: 0, role: "img", "aria-label": label },
    picture,
    heat,
    cursor,
  );
  const shape = box && bitmap ? [box[2] - box[0], box[3] - box[1]] : [found.width, found.height];
  map.style.aspectRatio = found.height === 1 ? "8 / 1" : `${shape[0]} / ${shape[1]}`;
  if (bitmap && !view.isAlone) drawPicture(picture, bitmap, box);
  drawHeat(heat, shown, { ...view, isAlone: view.isAlone || !bitmap });
  if (readout) follow(map, cursor, found, readout);
  return map;
}

function drawPicture(canvas, bitmap, [left, top, right, bottom]) {
  const scale = PICTURE_PIXELS / Math.max(right - left, bottom - top);
  canvas.width = Math.round(scale * (right - left));
  canvas.height = Math.round(scale * (bottom - top));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale < 1; // a small picture stays squares, as its map is
  context.drawImage(
    bitmap,
    -left * scale,
    -top * scale,
    bitmap.width * scale,
    bitmap.height * scale,
  );
}

function drawHeat(canvas, { values, width, height }, { table, bound, opacity, isAlone }) {
  const pixels = new ImageData(width, height);
  values.forEach((value, i) => {
    const share = bound ? value / bound : 0;
    // over a picture the end colours, and cover by size: pale colours would hide weak relevance twice
    const color = colorOf(table, isAlone ? share : Math.sign(share));
    const alpha = isAlone ? 255 : 255 * opacity * Math.min(1, Math.abs(share));
    pixels.data.set([...color, alpha], 4 * i);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function follow(map, cursor, { values, width, height }, readout) {
  let [column, row] = [width >> 1, height >> 1];
  const show = () => {
    const value = values[row * width + column];
    readout.textContent = `Row ${row}, column ${column}: ${short(value)}`;
    Object.assign(readout.dataset, { row, column, value });
    Object.assign(cursor.style, {
      left: `${(100 * column) / width}%`,
      top: `${(100 * row) / height}%`,
      width: `${100 / width}%`,
      height: `${100 / height}%`,
    });
    cursor.hidden = false;
  };
  const point = (event) => {
    const place = map.getBoundingClientRect();
    column = clamp(Math.floor(((event.clientX - place.left) / place.width) * width), width);
    row = clamp(Math.floor(((event.clientY - place.top) / place.height) * height), height);
    show();
  };
  map.addEventListener("pointermove", point);
  map.addEventListener("pointerdown", point); // a tap does not move
  map.addEventListener("pointerleave", () => {
    cursor.hidden = true;
  });
  map.addEventListener("blur", () => {
    cursor.hidden = true;
  });
  map.addEventListener("keydown", (event) => {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    column = clamp(column + move[0], width);
    row = clamp(row + move[1], height);
    readout.setAttribute("aria-live", "polite"); // not by the mouse, which passes hundreds
    show();
  });
}

const clamp = (index, n) => Math.max(0, Math.min(n - 1, index));

/** The colour bar of a map, with the scale that it has. */
export function makeScale(table, bound) {
  const canvas = make("canvas", {
    width: table.length,
    height: 1,
    role: "img",
    "aria-label": "Colour scale",
  });
  const pixels = new ImageData(table.length, 1);
  table.forEach((color, i) => pixels.data.set([...color, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const ends = bound
    ? [
        ["−" + short(bound), "against"],
        ["0", ""],
        ["+" + short(bound), "for"],
      ]
    : [
        ["", ""],
        ["0", ""],
        ["", ""],
      ];
  return make(
    "div",
    { class: "scale" },
    canvas,
    make(
      "div",
      {},
      ...ends.map(([text, side]) => make("span", {}, side ? `${text} ${side}` : text)),
    ),
  );
}
