// The account of an explanation: what speaks for the class and against it, in words.

import { contrastText } from "../method/label.js";
import { formatSigned } from "../page/numbers.js";

/** @import { Explanation, Conservation, Start } from "../service/types.d.ts" */
/** @typedef {Pick<Explanation, "target" | "method" | "conservation">} Explained */
/** @typedef {{ layer: string, arrived: number }} LayerSum */

const NEGLIGIBLE = 5e-4; // of what arrived: rounding, which is shown as 0

/**
 * A sentence about the sums of the relevance at the pixels.
 *
 * @param {Explained} explanation
 */
export function accountText(explanation) {
  const { target, method, conservation } = explanation;
  const { start, positive, negative, absorbed } = conservation;
  const digits = { of: Math.max(positive, -negative, Math.abs(absorbed ?? 0)) };
  const sides =
    `Speaks for “${target.label}”${contrastText(explanation)} ` +
    `${formatSigned(positive, digits)}, against ${formatSigned(negative, digits)}`;
  if (absorbed === null) {
    return (
      `${sides}. This method does not conserve relevance: its values compare pixels with each ` +
      "other, and do not add up to the score."
    );
  }
  const isNegligible = Math.abs(absorbed) < NEGLIGIBLE * (positive - negative);
  const kept = formatSigned(isNegligible ? 0 : absorbed, digits);
  const total = formatSigned(start, { ...digits, isPlain: true });
  return `${sides}, biases ${kept}: ${startName(method)} ${total}.`;
}

/**
 * The sums of the relevance, where they have a meaning.
 *
 * @param {Conservation} conservation
 */
export function shortAccount({ positive, negative, absorbed }) {
  if (absorbed === null) return "not conserving";
  const digits = { of: Math.max(positive, -negative) };
  return `for ${formatSigned(positive, digits)}, against ${formatSigned(negative, digits)}`;
}

/**
 * What the relevance adds up to.
 *
 * @param {Explained["method"]} method
 */
function startName({ start, contrast, attributor }) {
  if (start === "one_hot") return "the relevance at the output (one hot),";
  const isMean = attributor === "smooth_grad" ? "mean " : "";
  return contrast ? `${isMean}difference of the scores` : `${isMean}score`;
}

/**
 * What the relevance started with, and whether that is the method's default.
 *
 * @param {Explained} explanation
 * @param {Start | null} [byDefault] - not known of the composites of a bundle
 */
export function startText({ target, method: { start, contrast } }, byDefault) {
  const names = { logit: "the score (logit)", one_hot: "1 (one hot)" };
  const text = `Relevance started with ${names[start]}`;
  if (!byDefault) return `${text}.`;
  if (start === byDefault) return `${text}, the default of this method.`;
  const other = `${text}; the default of this method is ${names[byDefault]}.`;
  if (start !== "one_hot") return other;
  if (contrast) {
    return `${other} So started, this method does not explain the difference of the scores.`;
  }
  if (target.logit >= 0) return other;
  return (
    `${other} The score of “${target.label}” is negative: so started, this method turns the ` +
    "signs, and what speaks against the class is shown as speaking for it."
  );
}

/**
 * The sum of the relevance at each layer, from the pixels to the network's output. A layer that
 * is passed more than once counts where it is nearest to the output.
 *
 * @param {Pick<Conservation, "arrived" | "by_layer">} conservation
 * @returns {LayerSum[]} empty where the method does not conserve relevance
 */
export function sumsByLayer({ arrived, by_layer }) {
  if (!by_layer) return [];
  const sums = [...by_layer, { layer: "input", arrived }];
  const isFirst = (/** @type {LayerSum} */ sum, /** @type {number} */ i) =>
    sums.findIndex(({ layer }) => layer === sum.layer) === i;
  return sums.filter(isFirst).reverse();
}
