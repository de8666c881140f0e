import assert from "node:assert/strict";
import { test } from "node:test";
import { firstScale, fits, scaled } from "../../../../service/web/js/page/smaller.js";

const limits = { max_body_bytes: 1000, max_pixels: 1_000_000 };

test("an image at the limits fits", () => {
  assert.ok(fits(1000, { width: 1000, height: 1000 }, limits));
});

test("an image of more bytes or of more pixels does not", () => {
  assert.ok(!fits(1001, { width: 1000, height: 1000 }, limits));
  assert.ok(!fits(1000, { width: 1001, height: 1000 }, limits));
});

test("an image of few pixels keeps its size, so that only its bytes change", () => {
  assert.equal(firstScale({ width: 500, height: 400 }, limits), 1);
});

test("an image of many pixels is scaled to the limit", () => {
  const size = { width: 2000, height: 1125 };
  const { width, height } = scaled(size, firstScale(size, limits));
  assert.ok(width * height <= limits.max_pixels);
  assert.ok(width * height > 0.99 * limits.max_pixels);
  assert.ok(Math.abs(width / height - 2000 / 1125) < 0.01);
});

test("no side has more than 2048 pixels", () => {
  const size = { width: 8192, height: 16 };
  assert.deepEqual(scaled(size, firstScale(size, limits)), { width: 2048, height: 4 });
});

test("no side has less than one pixel", () => {
  assert.deepEqual(scaled({ width: 100, height: 3 }, 0.1), { width: 10, height: 1 });
});
