import assert from "node:assert/strict";
import { test } from "node:test";
import {
  accountText,
  shortAccount,
  startText,
  sumsByLayer,
} from "../../../../service/web/js/views/account.js";

/** @import { Explained } from "../../../../service/web/js/views/account.js" */

/**
 * @param {Partial<Explained["conservation"]>} conservation
 * @param {Partial<Explained["method"]>} method
 * @returns {Explained}
 */
const explained = (conservation = {}, method = {}, logit = 2.24) => ({
  target: { index: 3, label: "cat", probability: 0.9, logit },
  method: {
    attributor: "gradient",
    composite: "epsilon_plus",
    contrast: null,
    start: "logit",
    ...method,
  },
  conservation: {
    start: 2.24,
    arrived: 1.9,
    ratio: 0.85,
    positive: 2.41,
    negative: -0.51,
    absorbed: 0.34,
    by_layer: [],
    ...conservation,
  },
});

test("the account of a score", () => {
  assert.equal(
    accountText(explained()),
    "Speaks for “cat” +2.41, against −0.51, biases +0.34: score 2.24.",
  );
});

test("the account of a negative score", () => {
  const conservation = { start: -3.5, positive: 0.25, negative: -12.25, absorbed: 8.5 };
  assert.equal(
    accountText(explained(conservation)),
    "Speaks for “cat” +0.25, against −12.25, biases +8.50: score −3.50.",
  );
});

test("a contrast adds up to the difference of the scores", () => {
  assert.equal(
    accountText(explained({}, { contrast: "dog" })),
    "Speaks for “cat” rather than “dog” +2.41, against −0.51, biases +0.34: " +
      "difference of the scores 2.24.",
  );
});

test("SmoothGrad adds up to the mean score of the noisy copies", () => {
  assert.match(accountText(explained({}, { attributor: "smooth_grad" })), /: mean score 2\.24\.$/);
});

test("one hot adds up to what it started with", () => {
  const conservation = { start: 1, positive: 1.2, negative: -0.3, absorbed: 0.1 };
  assert.match(accountText(explained(conservation, { start: "one_hot" })), /\(one hot\), 1\.00\.$/);
});

test("rounding is not shown as if biases kept it", () => {
  const conservation = { start: 1.9, absorbed: -2.1e-7 };
  assert.match(accountText(explained(conservation)), /, biases 0: score 1\.90\.$/);
});

test("small numbers keep three digits", () => {
  const conservation = { start: 0.0241, positive: 0.0312, negative: -0.0071, absorbed: 0 };
  assert.match(accountText(explained(conservation)), /\+0\.0312, against −0\.0071,.* 0\.0241\.$/);
});

test("a method that does not conserve has no total", () => {
  const text = accountText(explained({ absorbed: null, ratio: null }));
  assert.match(text, /^Speaks for “cat” \+2\.41, against −0\.51\. This method does not conserve/);
  assert.doesNotMatch(text, /2\.24/);
});

test("the short account has the sums, where they have a meaning", () => {
  const { conservation } = explained();
  assert.equal(shortAccount(conservation), "for +2.41, against −0.51");
  assert.equal(shortAccount({ ...conservation, absorbed: null }), "not conserving");
});

test("the start is named, and whether it is the default", () => {
  assert.match(
    startText(explained(), "logit"),
    /the score \(logit\), the default of this method\.$/,
  );
  assert.match(
    startText(explained(), "one_hot"),
    /; the default of this method is 1 \(one hot\)\.$/,
  );
  assert.match(startText(explained()), /with the score \(logit\)\.$/);
});

test("one hot where the score is negative turns the signs", () => {
  const start = /** @type {const} */ ({ start: "one_hot" });
  const turned = /negative: so started, this method turns the signs/;
  assert.match(startText(explained({}, start, -1), "logit"), turned);
  assert.doesNotMatch(startText(explained({}, start, 1), "logit"), turned);
  assert.doesNotMatch(startText(explained({}, start, -1), "one_hot"), turned);
  const contrast = { ...start, contrast: "dog" };
  assert.match(startText(explained({}, contrast), "logit"), /not explain the difference/);
});

test("sums go from the pixels to the output, each layer once", () => {
  const by_layer = [
    { layer: "output", arrived: 6 },
    { layer: "relu", arrived: 5 },
    { layer: "relu", arrived: 4 },
  ];
  assert.deepEqual(sumsByLayer({ arrived: 3, by_layer }), [
    { layer: "input", arrived: 3 },
    { layer: "relu", arrived: 5 },
    { layer: "output", arrived: 6 },
  ]);
});

test("a method that does not conserve has no sums", () => {
  assert.deepEqual(sumsByLayer({ arrived: 3, by_layer: null }), []);
});
