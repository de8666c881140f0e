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

const MIN_DECIMALS = 2;
const MAX_DECIMALS = 12;

/**
 * A number with its sign, and as many decimals as give three significant digits of the largest
 * number beside it, but two at least.
 *
 * @param {number} number
 * @param {{ of: number, isPlain?: boolean }} options - `of`: the largest; `isPlain`: without "+"
 */
export function formatSigned(number, { of, isPlain = false }) {
  const wanted = of > 0 ? 2 - Math.floor(Math.log10(of)) : MIN_DECIMALS;
  const decimals = Math.min(MAX_DECIMALS, Math.max(MIN_DECIMALS, wanted));
  const text = Math.abs(number).toFixed(decimals);
  if (Number(text) === 0) return "0";
  if (number < 0) return MINUS + text;
  return isPlain ? text : `+${text}`;
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
