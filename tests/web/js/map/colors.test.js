import assert from "node:assert/strict";
import { test } from "node:test";
import { colorsOf, indexOf } from "../../../../service/web/js/map/colors.js";

test("a table goes from against over nothing to for", () => {
  assert.deepEqual(
    [-1, 0, 1].map((share) => indexOf(255, share)),
    [0, 127, 254],
  );
});

test("the nearest colour is taken", () => {
  assert.deepEqual(
    [-0.51, -0.49, 0.49, 0.51].map((share) => indexOf(3, share)),
    [0, 1, 1, 2],
  );
});

test("beyond the bound the end colours are kept", () => {
  assert.deepEqual(
    [-7, 7].map((share) => indexOf(255, share)),
    [0, 254],
  );
});

test("the colours of RGBA bytes are those of the first row, without alpha", () => {
  const data = Uint8ClampedArray.of(0, 0, 255, 255, 255, 255, 255, 128, 9, 9, 9, 9, 9, 9, 9, 9);
  assert.deepEqual(colorsOf({ data, width: 2 }), [
    [0, 0, 255],
    [255, 255, 255],
  ]);
});
