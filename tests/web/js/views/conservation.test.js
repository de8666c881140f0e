import assert from "node:assert/strict";
import { test } from "node:test";
import { conservationText, sumsByLayer } from "../../../../service/web/js/views/conservation.js";

/** @param {number | null} ratio */
const textOf = (ratio, start = 2, arrived = 1) =>
  conservationText({ start, arrived, ratio }, "cat");

test("relevance that arrives is all of it", () => {
  assert.match(textOf(1), /^100% of the relevance reached the pixels: nothing was lost/);
  assert.match(textOf(0.995), /nothing was lost/);
});

test("less or more of it is owed to biases and stabilizers", () => {
  assert.match(textOf(0.82), /^82% .*; the rest was absorbed by/);
  assert.match(textOf(1.5), /^150% .*; the surplus came from/);
});

test("more against the class than for it is said so", () => {
  assert.match(textOf(-0.25), /More speaks against “cat” than for it: .* −25%/);
});

test("a contrast starts with nothing", () => {
  assert.match(textOf(null, 0, 0.25), /A contrast starts with .* adds up to 0\.25\.$/);
});

test("a method that does not conserve has no share", () => {
  assert.match(textOf(null), /does not conserve/);
});

test("sums go from the pixels to the output, each layer once", () => {
  const by_layer = [
    { layer: "output", arrived: 6 },
    { layer: "relu", arrived: 5 },
    { layer: "relu", arrived: 4 },
  ];
  assert.deepEqual(sumsByLayer({ arrived: 3, by_layer }), [
    { layer: "input", arrived: 3 },
    { layer: "relu", arrived: 5 },
    { layer: "output", arrived: 6 },
  ]);
});

test("a method that does not conserve has no sums", () => {
  assert.deepEqual(sumsByLayer({ arrived: 3, by_layer: null }), []);
});
