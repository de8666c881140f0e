import assert from "node:assert/strict";
import { test } from "node:test";
import { isCancelled } from "../../../../service/web/js/page/status.js";

test("work that was cancelled is no failure", () => {
  const controller = new AbortController();
  controller.abort();
  assert.throws(() => controller.signal.throwIfAborted(), isCancelled);
});

test("any other error is one", () => {
  const errors = [new Error("AbortError"), new DOMException("late", "TimeoutError"), undefined];
  assert.deepEqual(errors.map(isCancelled), [false, false, false]);
});
