import assert from "node:assert/strict";
import { test } from "node:test";
import {
  axesOf,
  axisText,
  bandPath,
  linePath,
  topOf,
} from "../../../../service/web/js/views/deletion.js";

/** @param {number} scale */
const deletion = (scale) => ({
  hidden: [0, 0.5, 1],
  most_relevant_first: [0.8, 0.1, 0.2].map((value) => value * scale),
  least_relevant_first: [0.8, 0.9, 0.2].map((value) => value * scale),
  random: {
    orders: 8,
    mean: [0.8, 0.5, 0.2].map((value) => value * scale),
    std: [0, 0.1, 0].map((value) => value * scale),
  },
});

test("the plot reaches up to a round probability, and to 1 at most", () => {
  assert.equal(topOf(deletion(1)), 1);
  assert.equal(topOf(deletion(0.5)), 0.5);
  assert.equal(topOf(deletion(0.02)), 0.02);
  assert.ok(topOf(deletion(0)) > 0);
});

test("a line goes from nothing hidden to all of it, from 0 upwards", () => {
  const { hidden } = deletion(1);
  assert.equal(linePath(hidden, [1, 0.5, 0], axesOf(1)), "M64.0 10.0L268.0 101.0L472.0 192.0");
});

test("the band goes along the mean on both sides, and stays in the plot", () => {
  const path = bandPath(deletion(1), axesOf(1));
  assert.equal(path, "M64.0 46.4L268.0 82.8L472.0 155.6L472.0 155.6L268.0 119.2L64.0 46.4Z");
  const wide = deletion(1);
  wide.random.std[1] = 5;
  assert.match(bandPath(wide, axesOf(1)), /L268\.0 10\.0L.*L268\.0 192\.0L/);
});

test("the numbers at the axis differ, also for a class that is next to impossible", () => {
  assert.deepEqual([0, 0.5, 1].map(axisText), ["0%", "50%", "100%"]);
  assert.deepEqual([0, 0.0001, 0.0002].map(axisText), ["0%", "0.01%", "0.02%"]);
});
