import assert from "node:assert/strict";
import { test } from "node:test";
import { contrastText, labelOf } from "../../../../service/web/js/method/label.js";

const LABELS = ["cat", "dog", "7"];

test("a class is named by its index, by its label, or as a label", () => {
  assert.deepEqual(
    ["1", "dog", "label:dog"].map((name) => labelOf(name, LABELS)),
    ["dog", "dog", "dog"],
  );
});

test("`label:` names a label that looks like an index", () => {
  assert.equal(labelOf("label:1", LABELS), "1");
});

test("what there is not stays as it is named", () => {
  assert.deepEqual(
    ["9", "unicorn", ""].map((name) => labelOf(name, LABELS)),
    ["9", "unicorn", ""],
  );
});

test("a title has a contrast where there is one", () => {
  assert.equal(contrastText({ method: { contrast: null } }), "");
  assert.equal(contrastText({ method: { contrast: "dog" } }), " rather than “dog”");
});
