import assert from "node:assert/strict";
import { test } from "node:test";
import { isDefault, typedValue } from "../../../../service/web/js/method/parameters.js";

test("a default is the number itself, and nothing at all", () => {
  assert.ok(isDefault({ default: 0.25 }, "0.25"));
  assert.ok(isDefault({ default: 0.25 }, ""));
  assert.ok(!isDefault({ default: 0.25 }, "0.5"));
});

test("a checkbox that is off is the default of one that is off at first", () => {
  assert.ok(isDefault({ default: false }, "false"));
  assert.ok(!isDefault({ default: false }, "true"));
});

test("where the default follows from the network, nothing is the default", () => {
  assert.ok(isDefault({ default: null }, ""));
  assert.ok(!isDefault({ default: null }, "8"));
});

test("a value has the type of its parameter", () => {
  assert.equal(typedValue({ kind: "number" }, "1e-6"), 1e-6);
  assert.equal(typedValue({ kind: "integer" }, "20"), 20);
  assert.equal(typedValue({ kind: "boolean" }, "false"), false);
  assert.equal(typedValue({ kind: "enum" }, "7"), "7");
});

test("what is not of the type stays as it is, and so does nothing", () => {
  assert.equal(typedValue({ kind: "number" }, "many"), "many");
  assert.equal(typedValue({ kind: "boolean" }, "yes"), "yes");
  assert.deepEqual(
    ["number", "boolean"].map((kind) => typedValue({ kind }, "")),
    ["", ""],
  );
});
