// The relevance of a response, as numbers.

/** @import { ExplainResponse, Explanation, Grid, RelevanceArray } from "./types.d.ts" */

/**
 * An explanation, from the body of a response and its `Server-Timing` header.
 *
 * @param {ExplainResponse} response
 * @param {string | null} serverTiming
 * @returns {Explanation}
 */
export const explanationOf = (response, serverTiming) => ({
  ...response,
  ...gridOf(response.relevance),
  computeMs: computeMsOf(serverTiming),
});

/**
 * Decode relevance; that of a layer without space is one row.
 *
 * @param {RelevanceArray} relevance
 * @returns {Grid}
 */
export function gridOf({ data, shape }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return {
    values: new Float32Array(bytes.buffer),
    width: shape.at(-1) ?? 1,
    height: shape.at(-2) ?? 1,
  };
}

/**
 * The milliseconds that the computation took; null where the service had cached its result.
 *
 * @param {string | null} serverTiming
 */
export function computeMsOf(serverTiming) {
  const duration = /\bcompute;dur=([\d.]+)/.exec(serverTiming ?? "")?.[1];
  return duration === undefined ? null : Number(duration);
}
