import assert from "node:assert/strict";
import { test } from "node:test";
import {
  changedParameters,
  columnOptions,
  formatColumns,
  parseColumns,
  titleOf,
  withParameter,
} from "../../../../service/web/js/method/column.js";

test("columns are read as they were written", () => {
  const columns = ["epsilon_plus;epsilon=0.5", "~occlusion", "a|b", "100%", "%7C", "%25"];
  assert.deepEqual(parseColumns(formatColumns(columns)), columns);
});

test("no column at all is not the columns at first", () => {
  assert.notEqual(formatColumns([]), "");
  assert.deepEqual(parseColumns(formatColumns([])), []);
});

test("a column has the parameters that differ from their defaults", () => {
  assert.deepEqual(changedParameters("epsilon_gamma_box"), {});
  const column = "epsilon_gamma_box;gamma=2;epsilon=0.5";
  assert.deepEqual(changedParameters(column), { gamma: "2", epsilon: "0.5" });
});

test("a parameter is set, changed and reset", () => {
  const column = withParameter("epsilon_gamma_box;epsilon=0.5", "gamma", "2");
  assert.equal(column, "epsilon_gamma_box;epsilon=0.5;gamma=2");
  assert.equal(withParameter(column, "gamma", "3"), "epsilon_gamma_box;epsilon=0.5;gamma=3");
  assert.equal(withParameter(column, "epsilon", null), "epsilon_gamma_box;gamma=2");
});

test("a title has the method and what differs", () => {
  assert.equal(titleOf("epsilon_plus_flat"), "epsilon plus flat");
  assert.equal(titleOf("epsilon_plus;zero_bias=true"), "epsilon plus, zero bias true");
  assert.equal(titleOf("~occlusion;window=8"), "occlusion, window 8");
});

test("a composite and an attributor are different options", () => {
  assert.deepEqual(columnOptions("epsilon_plus;epsilon=0.5"), {
    composite: "epsilon_plus",
    epsilon: "0.5",
  });
  assert.deepEqual(columnOptions("~occlusion"), { attributor: "occlusion" });
});
