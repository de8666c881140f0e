import assert from "node:assert/strict";
import { test } from "node:test";
import { isDefault } from "../../../../service/web/js/method/parameters.js";

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
