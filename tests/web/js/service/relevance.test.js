import assert from "node:assert/strict";
import { test } from "node:test";
import { computeMsOf, gridOf } from "../../../../service/web/js/service/relevance.js";

/**
 * @param {number[]} values
 * @param {number[]} shape
 */
function encoded(values, shape) {
  const data = Buffer.from(Float32Array.from(values).buffer).toString("base64");
  return { data, shape, dtype: /** @type {const} */ ("float32") };
}

test("relevance has rows and columns", () => {
  const { values, width, height } = gridOf(encoded([1, -2, 0.5, 4, 5, 6], [2, 3]));
  assert.deepEqual([width, height], [3, 2]);
  assert.deepEqual([...values], [1, -2, 0.5, 4, 5, 6]);
});

test("relevance of a layer without space is one row", () => {
  const { width, height } = gridOf(encoded([1, 2, 3], [3]));
  assert.deepEqual([width, height], [3, 1]);
});

test("the time of the computation is read from the header", () => {
  assert.equal(computeMsOf("decode;dur=0.4, queue;dur=1, compute;dur=12.5, render;dur=3"), 12.5);
});

test("a cached result has no computation", () => {
  assert.equal(computeMsOf("decode;dur=0.4"), null);
  assert.equal(computeMsOf(null), null);
});
