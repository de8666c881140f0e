import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boundOf,
  clampIndex,
  heatmapPixels,
  indexAt,
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
  const pixels = heatmapPixels(values, { table, bound: 2, isOpaque: true });
  const expected = [BLUE, PALE_BLUE, WHITE, PALE_RED, RED].flatMap((color) => [...color, 255]);
  assert.deepEqual([...pixels], expected);
});

test("over a picture, relevance has the colour of its sign and covers by its size", () => {
  const pixels = heatmapPixels(values, { table, bound: 4, opacity: 0.5 });
  assert.deepEqual(
    [...pixels],
    [...[...BLUE, 64], ...[...BLUE, 32], ...[...WHITE, 0], ...[...RED, 32], ...[...RED, 128]],
  );
});

test("relevance beyond the bound covers no more than fully", () => {
  const pixels = heatmapPixels(Float32Array.of(9), { table, bound: 3 });
  assert.deepEqual([...pixels], [...RED, 255]);
});

test("a map of zeros has the colour of nothing", () => {
  const pixels = heatmapPixels(Float32Array.of(0), { table, bound: 0, isOpaque: true });
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
