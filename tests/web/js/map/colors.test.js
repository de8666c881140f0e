import assert from "node:assert/strict";
import { test } from "node:test";
import { colorOf, colorsOf } from "../../../../service/web/js/map/colors.js";

const [BLUE, WHITE, RED] = [
  [0, 0, 255],
  [255, 255, 255],
  [255, 0, 0],
];
const TABLE = [BLUE, WHITE, RED];

test("a table goes from against over nothing to for", () => {
  assert.deepEqual(
    [-1, 0, 1].map((share) => colorOf(TABLE, share)),
    TABLE,
  );
});

test("the nearest colour is taken", () => {
  assert.deepEqual(
    [-0.51, -0.49, 0.49, 0.51].map((share) => colorOf(TABLE, share)),
    [BLUE, WHITE, WHITE, RED],
  );
});

test("beyond the bound the end colours are kept", () => {
  assert.deepEqual(
    [-7, 7].map((share) => colorOf(TABLE, share)),
    [BLUE, RED],
  );
});

test("the colours of RGBA bytes have no alpha", () => {
  const bytes = Uint8ClampedArray.of(...BLUE, 255, ...WHITE, 128, ...RED, 0);
  assert.deepEqual(colorsOf(bytes), TABLE);
});
