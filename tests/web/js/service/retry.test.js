import assert from "node:assert/strict";
import { test } from "node:test";
import { pauseMs } from "../../../../service/web/js/service/retry.js";

/** @param {string} name */
const type = (name) => `urn:lrpserve:problem:${name}`;
const BUSY = type("queue-full");

test("a busy or starting service is asked again, and one that is away", () => {
  for (const found of [BUSY, type("not-ready"), undefined])
    assert.equal(pauseMs(found, null, 1, 0), 250);
});

test("what was refused, or has failed, is not, whatever its status", () => {
  for (const name of ["invalid-option", "out-of-memory", "broken", "deadline-exceeded"])
    assert.equal(pauseMs(type(name), "1", 1, 0), null);
  assert.equal(pauseMs("about:blank", "1", 1, 0), null);
});

test("the pauses double up to two seconds", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 20].map((n) => pauseMs(BUSY, null, n, 0)),
    [250, 500, 1000, 2000, 2000, 2000],
  );
});

test("they are as long as the service says, at least", () => {
  assert.deepEqual(
    ["0", "1", "90"].map((header) => pauseMs(BUSY, header, 3, 0)),
    [1000, 1000, 90_000],
  );
});

test("a date in place of seconds is no number", () => {
  assert.equal(pauseMs(BUSY, "Fri, 27 Nov 2026 13:00:00 GMT", 1, 0), 250);
});

test("number and sum of the pauses are bounded", () => {
  assert.equal(pauseMs(BUSY, "7200", 1, 0), null);
  assert.equal(pauseMs(BUSY, "1", 2, 119_500), null);
  assert.equal(pauseMs(undefined, null, 120, 0), null);
});
