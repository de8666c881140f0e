import assert from "node:assert/strict";
import { test } from "node:test";
import { scaleTexts } from "../../../../service/web/js/map/scale.js";

test("a scale says which end is for and which is against", () => {
  assert.deepEqual(scaleTexts(0.0213), ["−0.0213 against", "0", "+0.0213 for"]);
});

test("without relevance the ends have no number", () => {
  assert.deepEqual(scaleTexts(0), ["", "0", ""]);
});
