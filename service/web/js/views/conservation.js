// What the conservation of relevance says, in words.
import { formatNumber, formatPercent } from "../page/numbers.js";

/** @import { Conservation } from "../service/types.d.ts" */
/** @typedef {{ layer: string, arrived: number }} LayerSum */

const ROUNDING = 0.01; // as much from 1 is shown as 100%

/**
 * A sentence about the relevance at the pixels.
 *
 * @param {Pick<Conservation, "start" | "arrived" | "ratio">} conservation
 * @param {string} label - of the class that is explained
 */
export function conservationText({ start, arrived, ratio }, label) {
  if (ratio === null) return start === 0 ? contrastSentence(arrived) : NOT_CONSERVING;
  if (ratio < 0) {
    return (
      `More speaks against “${label}” than for it: the relevance at the pixels adds up to ` +
      `${formatPercent(ratio)} of that at the output.`
    );
  }
  const share = `${formatPercent(ratio)} of the relevance reached the pixels`;
  if (Math.abs(ratio - 1) < ROUNDING) return `${share}: nothing was lost on the way.`;
  const verb = ratio < 1 ? "the rest was absorbed by" : "the surplus came from";
  return `${share}; ${verb} the network's biases and stabilizers.`;
}

const NOT_CONSERVING =
  "This method does not conserve relevance: compare its values with each other; " +
  "their sum has no meaning.";

/** @param {number} arrived */
const contrastSentence = (arrived) =>
  "A contrast starts with as much relevance for as against; " +
  `the relevance at the pixels adds up to ${formatNumber(arrived)}.`;

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
