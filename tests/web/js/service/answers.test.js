import assert from "node:assert/strict";
import { test } from "node:test";
import { forEachConcurrently, ImageCache } from "../../../../service/web/js/service/answers.js";

/** @template Result @param {Result} result */
function countingFetch(result) {
  const fetchResult = async () => {
    fetchResult.n += 1;
    return result;
  };
  fetchResult.n = 0;
  return fetchResult;
}

const image = {};

test("the same request about the same image is sent once", async () => {
  const cache = new ImageCache();
  const fetchResult = countingFetch("map");
  assert.equal(await cache.get(image, "a", fetchResult), "map");
  assert.equal(await cache.get(image, "a", fetchResult), "map");
  assert.equal(fetchResult.n, 1);
  await cache.get(image, "b", fetchResult);
  assert.equal(fetchResult.n, 2);
});

/** A request that is answered, or fails, when it is told to. */
function controlledFetch() {
  /** @type {(result: string) => void} */
  let resolve = () => {};
  /** @type {(error: Error) => void} */
  let reject = () => {};
  const request = new Promise((...settle) => {
    [resolve, reject] = settle;
  });
  let n = 0;
  /** @type {AbortSignal | undefined} */
  let signal;
  const fetchResult = (/** @type {AbortSignal} */ given) => {
    n += 1;
    signal = given;
    return request;
  };
  return { fetchResult, resolve, reject, n: () => n, isAborted: () => signal?.aborted };
}

test("equal requests at the same time are sent once", async () => {
  const cache = new ImageCache();
  const { fetchResult, resolve, n } = controlledFetch();
  const both = Promise.all([1, 2].map(() => cache.get(image, "a", fetchResult)));
  resolve("map");
  assert.deepEqual(await both, ["map", "map"]);
  assert.equal(n(), 1);
});

test("a caller that leaves does not take the result from the other", async () => {
  const cache = new ImageCache();
  const { fetchResult, resolve, isAborted } = controlledFetch();
  const leaving = new AbortController();
  const first = cache.get(image, "a", fetchResult, leaving.signal);
  const second = cache.get(image, "a", fetchResult, new AbortController().signal);
  leaving.abort();
  await assert.rejects(first, { name: "AbortError" });
  assert.equal(isAborted(), false);
  resolve("map");
  assert.equal(await second, "map");
});

test("a request that all callers have left is aborted, and sent again for the next", async () => {
  const cache = new ImageCache();
  const { fetchResult, isAborted } = controlledFetch();
  const leaving = new AbortController();
  const both = [1, 2].map(() => cache.get(image, "a", fetchResult, leaving.signal));
  leaving.abort();
  for (const left of both) await assert.rejects(left, { name: "AbortError" });
  assert.equal(isAborted(), true);
  assert.equal(await cache.get(image, "a", countingFetch("map")), "map");
});

test("a failure is that of all callers", async () => {
  const cache = new ImageCache();
  const { fetchResult, reject } = controlledFetch();
  const both = [1, 2].map(() => cache.get(image, "a", fetchResult));
  reject(new Error("busy"));
  for (const failed of both) await assert.rejects(failed, /busy/);
});

test("about another image it is sent again", async () => {
  const cache = new ImageCache();
  const fetchResult = countingFetch("map");
  await cache.get(image, "a", fetchResult);
  await cache.get({}, "a", fetchResult);
  assert.equal(fetchResult.n, 2);
});

test("a failure is not kept", async () => {
  const cache = new ImageCache();
  const fail = () => Promise.reject(new Error("busy"));
  await assert.rejects(cache.get(image, "a", fail), /busy/);
  assert.equal(await cache.get(image, "a", countingFetch("map")), "map");
});

test("a result that arrives after another image was chosen is not taken for that image's", async () => {
  const cache = new ImageCache();
  /** @type {(result: string) => void} */
  let arrive = () => assert.fail("nothing was fetched");
  const late = new Promise((resolve) => {
    arrive = resolve;
  });
  const first = cache.get(image, "a", () => late);
  const other = {};
  await cache.get(other, "b", countingFetch("other"));
  arrive("late");
  assert.equal(await first, "late");
  assert.equal(await cache.get(other, "a", countingFetch("other")), "other");
});

test("the cache is bounded", async () => {
  const cache = new ImageCache(2);
  for (const key of ["a", "b", "c"]) await cache.get(image, key, countingFetch(key));
  assert.deepEqual([...cache.requests.keys()], ["c"]);
});

test("every item is worked on once, a few at a time", async () => {
  /** @type {[string, number][]} */
  const done = [];
  let [nRunning, nMost] = [0, 0];
  const items = ["a", "b", "c", "d", "e"];
  await forEachConcurrently(
    items,
    async (item, index) => {
      nRunning += 1;
      nMost = Math.max(nMost, nRunning);
      await new Promise((resolve) => setImmediate(resolve));
      nRunning -= 1;
      done.push([item, index]);
    },
    2,
  );
  assert.equal(nMost, 2);
  assert.deepEqual(
    done,
    items.map((item, index) => [item, index]),
  );
});

test("a failure of the work is passed on", async () => {
  const work = async (/** @type {number} */ item) => {
    if (item === 2) throw new Error("two");
  };
  await assert.rejects(forEachConcurrently([1, 2, 3], work), /two/);
});
