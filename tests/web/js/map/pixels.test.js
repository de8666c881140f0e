import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boundOf,
  clampIndex,
  heatmapPixels,
  indexAt,
  overlayPixels,
} from "../../../../service/web/js/map/pixels.js";

const [BLUE, PALE_BLUE, WHITE, PALE_RED, RED] = [
  [0, 0, 255],
  [128, 128, 255],
  [255, 255, 255],
  [255, 128, 128],
  [255, 0, 0],
];
const table = [BLUE, PALE_BLUE, WHITE, PALE_RED, RED];
const values = Float32Array.of(-2, -1, 0, 1, 4);

test("the bound is the largest absolute relevance", () => {
  assert.equal(boundOf({ values: Float32Array.of(1, -3, 2) }), 3);
  assert.equal(boundOf({ values: Float32Array.of(0, 0) }), 0);
});

test("alone, relevance has the colour of its share of the bound", () => {
  const pixels = heatmapPixels(values, { table, bound: 2 });
  const expected = [BLUE, PALE_BLUE, WHITE, PALE_RED, RED].flatMap((color) => [...color, 255]);
  assert.deepEqual([...pixels], expected);
});

const GREY_OF_BLACK = 0.35 * 255;

test("over a picture, relevance has the colour of its sign and covers by its size", () => {
  const steps = Float32Array.of(-2, 0, 2, 4);
  const black = new Uint8ClampedArray(4 * steps.length);
  const pixels = overlayPixels(steps, black, { table, bound: 4, opacity: 0.5 });
  /** @type {(color: number[], cover: number) => number[]} */
  const mixed = (color, cover) => [
    ...color.map((channel) => Math.round(GREY_OF_BLACK * (1 - cover) + channel * cover)),
    255,
  ];
  const expected = [mixed(BLUE, 0.25), mixed(BLUE, 0), mixed(RED, 0.25), mixed(RED, 0.5)];
  assert.deepEqual([...pixels], expected.flat());
});

test("a picture is grey where there is no relevance", () => {
  const picture = Uint8ClampedArray.of(255, 0, 0, 255, 255, 255, 255, 255);
  const none = { table, bound: 0, opacity: 1 };
  const pixels = overlayPixels(new Float32Array(2), picture, none);
  const red = Math.round(76 + 0.35 * (255 - 76));
  assert.deepEqual([...pixels], [red, red, red, 255, 255, 255, 255, 255]);
});

test("relevance beyond the bound covers no more than fully", () => {
  const picture = Uint8ClampedArray.of(1, 2, 3, 255);
  const pixels = overlayPixels(Float32Array.of(9), picture, { table, bound: 3, opacity: 1 });
  assert.deepEqual([...pixels], [...RED, 255]);
});

test("a map of zeros has the colour of nothing", () => {
  const pixels = heatmapPixels(Float32Array.of(0), { table, bound: 0 });
  assert.deepEqual([...pixels], [...WHITE, 255]);
});

test("a place belongs to the pixel that it is in", () => {
  assert.deepEqual(
    [0, 0.24, 0.25, 0.99].map((share) => indexAt(share, 4)),
    [0, 0, 1, 3],
  );
});

test("a place on or beyond an edge belongs to the outer pixel", () => {
  assert.deepEqual(
    [-0.1, 1, 1.5].map((share) => indexAt(share, 4)),
    [0, 3, 3],
  );
  assert.deepEqual(
    [-1, 4].map((index) => clampIndex(index, 4)),
    [0, 3],
  );
});
