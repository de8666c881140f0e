import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cssPercent,
  formatNumber,
  formatPercent,
  words,
} from "../../../../service/web/js/page/numbers.js";

test("numbers have three significant digits", () => {
  assert.deepEqual([0, 0.021345, 1.5, 6.1049, 12345].map(formatNumber), [
    "0",
    "0.0213",
    "1.5",
    "6.1",
    "12300",
  ]);
});

test("very small and very large numbers are in scientific notation", () => {
  assert.deepEqual([0.000123456, 123456].map(formatNumber), ["1.23e−4", "1.23e+5"]);
});

test("a minus is a minus sign", () => {
  assert.deepEqual([-1.5, -0.00012].map(formatNumber), ["−1.5", "−1.20e−4"]);
  assert.equal(formatPercent(-0.5), "−50%");
});

test("percentages below ten have a decimal", () => {
  assert.deepEqual([0.9321, 0.0994, 0.0996, 0.001, 1].map(formatPercent), [
    "93%",
    "9.9%",
    "10%",
    "0.1%",
    "100%",
  ]);
});

test("a style has a percentage with a point", () => {
  assert.equal(cssPercent(0.125), "12.5%");
});

test("names of the API are read as words", () => {
  assert.equal(words("epsilon_plus_flat"), "epsilon plus flat");
});
