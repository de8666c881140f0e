import assert from "node:assert/strict";
import { test } from "node:test";
import { axesOf, linePath, topOf } from "../../../../service/web/js/views/charts.js";

/** @param {number} epoch @param {number} training_loss */
const entry = (epoch, training_loss) => ({
  epoch,
  training_loss,
  validation_loss: 0.5,
  validation_accuracy: 0.75,
});

test("the plot reaches up to the largest loss, and to 1 at least", () => {
  assert.equal(topOf([entry(1, 2.5), entry(2, 0.5)]), 2.5);
  assert.equal(topOf([entry(1, 0.25)]), 1);
});

test("a line goes from the first epoch to the last, from 0 upwards", () => {
  const history = [entry(5, 2), entry(6, 1), entry(7, 0)];
  const path = linePath(history, "training_loss", axesOf(history, 2));
  assert.equal(path, "M44.0 10.0L258.0 101.0L472.0 192.0");
});

test("a single epoch is a point", () => {
  const history = [entry(1, 1)];
  assert.equal(linePath(history, "training_loss", axesOf(history, 1)), "M44.0 10.0");
});
