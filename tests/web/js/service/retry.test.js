import assert from "node:assert/strict";
import { test } from "node:test";
import { isRetried, MAX_TRIES, waitMs } from "../../../../service/web/js/service/retry.js";

test("a busy or starting service is asked again, and one that is away", () => {
  assert.deepEqual(
    [429, 503, undefined].map((status) => isRetried(status, 1)),
    [true, true, true],
  );
});

test("what was refused, or has failed, is not", () => {
  assert.deepEqual(
    [400, 413, 422, 500, 504].map((status) => isRetried(status, 1)),
    [false, false, false, false, false],
  );
});

test("the tries come to an end", () => {
  assert.ok(isRetried(503, MAX_TRIES - 1));
  assert.ok(!isRetried(503, MAX_TRIES));
});

test("the service says how long to wait, half a minute at most", () => {
  assert.deepEqual(
    ["2", "7200"].map((header) => waitMs(header, 1)),
    [2000, 30_000],
  );
});

test("else the wait doubles up to four seconds", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 20].map((n) => waitMs(null, n)),
    [500, 1000, 2000, 4000, 4000, 4000],
  );
});

test("a date in place of seconds is no number", () => {
  assert.equal(waitMs("Fri, 27 Nov 2026 13:00:00 GMT", 1), 500);
});
