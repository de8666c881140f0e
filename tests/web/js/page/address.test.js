import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addressOf,
  changedNames,
  parseQuery,
  withChanges,
} from "../../../../service/web/js/page/address.js";

test("an address gives back the values that it was made of", () => {
  const values = { target: "label:é & ö", columns: "a|b;c=1", epsilon: "1e-6" };
  assert.deepEqual(parseQuery(addressOf(values, "/")), values);
});

test("without values the address has no query", () => {
  assert.equal(addressOf({}, "/page/"), "/page/");
});

test("a change sets a value as text, and leaves the others", () => {
  assert.deepEqual(withChanges({ view: "layers" }, { side: 1 }), { view: "layers", side: "1" });
});

test("null, undefined and an empty text take a value out", () => {
  for (const nothing of [null, undefined, ""]) {
    assert.deepEqual(withChanges({ side: "1", view: "layers" }, { side: nothing }), {
      view: "layers",
    });
  }
});

test("zero is a value", () => {
  assert.deepEqual(withChanges({}, { opacity: 0 }), { opacity: "0" });
});

test("values are not changed in place", () => {
  const values = { side: "1" };
  withChanges(values, { side: null });
  assert.deepEqual(values, { side: "1" });
});

test("what is added, changed or taken out has changed", () => {
  const [before, after] = [
    { a: "1", b: "2", c: "3" },
    { b: "2", c: "4", d: "5" },
  ];
  assert.deepEqual(changedNames(before, after), ["a", "c", "d"]);
});
