import assert from "node:assert/strict";
import { test } from "node:test";
import { enlarge } from "../../../../service/web/js/map/enlarge.js";

test("a map of the same size stays as it is", () => {
  const grid = { values: Float32Array.from({ length: 300 }, (_, i) => i), width: 300, height: 1 };
  for (const isSmooth of [true, false]) {
    assert.deepEqual(enlarge(grid, { width: 300, height: 1 }, isSmooth), grid);
  }
});

test("squares are as large as can be where a side is no multiple", () => {
  const grid = { values: Float32Array.of(1, 2), width: 2, height: 1 };
  const { values } = enlarge(grid, { width: 5, height: 2 }, false);
  assert.deepEqual([...values], [1, 1, 2, 2, 2, 1, 1, 2, 2, 2]);
});

test("between two pixels relevance changes linearly, beyond their centres it does not", () => {
  const grid = { values: Float32Array.of(-1, 1), width: 2, height: 1 };
  const { values, width, height } = enlarge(grid, { width: 256, height: 128 }, true);
  assert.deepEqual([width, height], [256, 128]);
  const row = values.subarray(0, width);
  assert.ok(row.subarray(0, 64).every((value) => value === -1));
  assert.ok(row.subarray(192).every((value) => value === 1));
  const steps = row.subarray(65, 191).map((value, i) => value - row[64 + i]);
  assert.ok(steps.every((step) => Math.abs(step - 2 / 128) < 1e-6));
});

test("every row of the finer grid follows its pixels", () => {
  const grid = { values: Float32Array.of(0, 0, 8, 8), width: 2, height: 2 };
  const { values, width } = enlarge(grid, { width: 256, height: 256 }, true);
  const column = Array.from({ length: 256 }, (_, y) => values[y * width + 17]);
  assert.deepEqual([column[0], column[63], column[192], column[255]], [0, 0, 8, 8]);
  assert.ok(Math.abs(column[127] - 8 * (63.5 / 128)) < 1e-5);
  assert.ok(Math.abs(column[128] - 8 * (64.5 / 128)) < 1e-5);
});

test("a plane is kept where it is between centres", () => {
  const plane = Float32Array.from({ length: 16 }, (_, i) => (i % 4) + 10 * Math.floor(i / 4));
  const grid = { values: plane, width: 4, height: 4 };
  const { values, width } = enlarge(grid, { width: 256, height: 256 }, true);
  const [x, y] = [100, 150];
  const expected = (x + 0.5) / 64 - 0.5 + 10 * ((y + 0.5) / 64 - 0.5);
  assert.ok(Math.abs(values[y * width + x] - expected) < 1e-5);
});
