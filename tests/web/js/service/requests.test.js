import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem, queryOf } from "../../../../service/web/js/service/requests.js";

test("a query leaves out what is not set, but not what is zero or false", () => {
  const options = { model: "", target: undefined, bound: 0, zero_bias: false, composite: "none" };
  assert.equal(queryOf(options).toString(), "bound=0&zero_bias=false&composite=none");
});

test("a query holds any label", () => {
  const target = "label:a&b=c d";
  assert.equal(new URLSearchParams(queryOf({ target }).toString()).get("target"), target);
});

test("a problem says what to do, or at least what is wrong", () => {
  const problem = new Problem({ title: "Too many", detail: "Wait a second", status: 429 });
  assert.deepEqual([problem.message, problem.status], ["Wait a second", 429]);
  assert.equal(new Problem({ title: "Too many" }).message, "Too many");
});
