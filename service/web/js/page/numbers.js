// Numbers as people read them.

const MINUS = "−";

/**
 * Three significant digits, in scientific notation where that is shorter.
 *
 * @param {number} number
 */
export function formatNumber(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  const isPlain = size >= 1e-3 && size < 1e5;
  const text = isPlain ? String(Number(number.toPrecision(3))) : number.toExponential(2);
  return text.replaceAll("-", MINUS);
}

/**
 * A share as a percentage; one decimal below 10%.
 *
 * @param {number} share
 */
export function formatPercent(share) {
  const decimals = Math.abs(share) < 0.0995 ? 1 : 0;
  return `${(100 * share).toFixed(decimals).replace("-", MINUS)}%`;
}

/**
 * A share as a CSS length.
 *
 * @param {number} share
 */
export const cssPercent = (share) => `${100 * share}%`;

/**
 * A name of the API in words: `epsilon_plus` as "epsilon plus".
 *
 * @param {string} name
 */
export const words = (name) => name.replaceAll("_", " ");
