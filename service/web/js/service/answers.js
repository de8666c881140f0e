// Responses about the current image, kept: a request that was made before is not sent again.
import { fetchEvidence, fetchExplanation, fetchLayers, fetchTopLabels } from "./requests.js";

/** @import { Sendable } from "./requests.js" */
/** @import { Explanation, ExplanationEvidence, Grid, Options } from "./types.d.ts" */

const MAX_CACHED = 64;
const MAX_CONCURRENT = 4; // a page shall not fill the service's queue

/**
 * A request in flight, or its result, which several callers share. It is aborted when the last
 * caller leaves.
 *
 * @template Result
 */
class SharedRequest {
  /** @param {(signal: AbortSignal) => Promise<Result>} fetchResult */
  constructor(fetchResult) {
    this.nCallers = 0;
    this.controller = new AbortController();
    this.result = fetchResult(this.controller.signal);
  }

  get isAborted() {
    return this.controller.signal.aborted;
  }

  /**
   * The result, unless the caller's signal is aborted first.
   *
   * @param {AbortSignal} [signal]
   * @returns {Promise<Result>}
   */
  wait(signal) {
    this.nCallers += 1;
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.nCallers -= 1;
        if (this.nCallers === 0) this.controller.abort();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", leave, { once: true });
      this.result.then(resolve, reject).finally(() => signal?.removeEventListener("abort", leave));
    });
  }
}

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
    /** @type {Map<string, SharedRequest<Result>>} */
    this.requests = new Map();
  }

  clear() {
    this.image = null;
    this.requests = new Map();
  }

  /**
   * The result of a key, fetched where it is neither cached nor on its way. What fails is not kept.
   *
   * @param {object} image
   * @param {string} key
   * @param {(signal: AbortSignal) => Promise<Result>} fetchResult
   * @param {AbortSignal} [signal]
   * @returns {Promise<Result>}
   */
  async get(image, key, fetchResult, signal) {
    signal?.throwIfAborted();
    if (this.image !== image || (this.requests.size >= this.maxSize && !this.requests.has(key))) {
      this.image = image;
      this.requests = new Map();
    }
    const { requests } = this; // another image may come while this one's result is fetched
    const known = requests.get(key);
    if (known && !known.isAborted) return known.wait(signal);
    const request = new SharedRequest(fetchResult);
    requests.set(key, request);
    request.result.catch(() => requests.get(key) === request && requests.delete(key));
    return request.wait(signal);
  }
}

/** @type {ImageCache<Explanation>} */
const explanations = new ImageCache();
/** @type {ImageCache<ExplanationEvidence>} */
const evidence = new ImageCache();
/** @type {ImageCache<Map<string, Grid>>} */
const layers = new ImageCache();
/** @type {ImageCache<string[]>} */
const topLabels = new ImageCache();

/** Forget all results: they are of a model that was replaced. */
export function forgetResults() {
  explanations.clear();
  evidence.clear();
  layers.clear();
  topLabels.clear();
}

/**
 * An explanation with its relevance.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 */
export const getExplanation = (image, options, signal) =>
  explanations.get(
    image,
    JSON.stringify(options),
    (shared) => fetchExplanation(image, options, shared),
    signal,
  );

/**
 * Whether an explanation is right about the image.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 */
export const getEvidence = (image, options, signal) =>
  evidence.get(
    image,
    JSON.stringify(options),
    (shared) => fetchEvidence(image, options, shared),
    signal,
  );

/**
 * The relevance at all layers, by their names.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 */
export const getLayers = (image, options, signal) =>
  layers.get(
    image,
    JSON.stringify(options),
    (shared) => fetchLayers(image, options, shared),
    signal,
  );

/**
 * The labels of the `n` most probable classes, the most probable one first.
 *
 * @param {Sendable} image
 * @param {string} model
 * @param {number} n
 * @param {AbortSignal} [signal]
 */
export const getTopLabels = (image, model, n, signal) =>
  topLabels.get(
    image,
    `${n} of ${model}`,
    (shared) => fetchTopLabels(image, model, n, shared),
    signal,
  );

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
