// Responses about the current image, kept: a request that was made before is not sent again.
import { fetchExplanation, fetchTopLabels } from "./requests.js";

/** @import { Sendable } from "./requests.js" */
/** @import { Explanation, Options } from "./types.d.ts" */

const MAX_CACHED = 64;
const MAX_CONCURRENT = 4; // a page shall not fill the service's queue

/**
 * Results of requests about one image; those about another image take their place.
 *
 * @template Result
 */
export class ImageCache {
  constructor(maxSize = MAX_CACHED) {
    this.maxSize = maxSize;
    /** @type {object | null} */
    this.image = null;
    /** @type {Map<string, Result>} */
    this.results = new Map();
  }

  /**
   * The result of a key, fetched where it is not cached. What fails is not kept.
   *
   * @param {object} image
   * @param {string} key
   * @param {() => Promise<Result>} fetchResult
   * @returns {Promise<Result>}
   */
  async get(image, key, fetchResult) {
    if (this.image !== image || this.results.size >= this.maxSize) {
      this.image = image;
      this.results = new Map();
    }
    const { results } = this; // another image may come while this one's result is fetched
    const cached = results.get(key);
    if (cached !== undefined) return cached;
    const result = await fetchResult();
    results.set(key, result);
    return result;
  }
}

/** @type {ImageCache<Explanation>} */
const explanations = new ImageCache();
/** @type {ImageCache<string[]>} */
const topLabels = new ImageCache();

/**
 * An explanation with its relevance.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 */
export const getExplanation = (image, options, signal) =>
  explanations.get(image, JSON.stringify(options), () => fetchExplanation(image, options, signal));

/**
 * The labels of the `n` most probable classes, the most probable one first.
 *
 * @param {Sendable} image
 * @param {string} model
 * @param {number} n
 * @param {AbortSignal} [signal]
 */
export const getTopLabels = (image, model, n, signal) =>
  topLabels.get(image, `${n} of ${model}`, () => fetchTopLabels(image, model, n, signal));

/**
 * Do something for each item, for a few of them at a time.
 *
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item, index: number) => Promise<void>} work
 */
export async function forEachConcurrently(items, work, nConcurrent = MAX_CONCURRENT) {
  const rest = items.entries(); // shared by the workers
  const worker = async () => {
    for (const [index, item] of rest) await work(item, index);
  };
  await Promise.all(Array.from({ length: nConcurrent }, worker));
}
