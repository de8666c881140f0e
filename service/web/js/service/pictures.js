// What the service saw of an image. Browsers turn some images, and convert their colours, in other
// ways: so the page shows the service's pictures, never its own decoding.
import { decodePng } from "../map/decode.js";
import { fetchExplanation, fetchExplanationFile } from "./requests.js";

/** @import { Sendable } from "./requests.js" */
/** @import { Explanation, Options } from "./types.d.ts" */

const MIN_SIDE = 512; // of the pictures, in pixels
const MAX_SIDE = 2048;
const THUMBNAIL_SIDE = 320;

/** @type {WeakMap<Sendable, Map<string, ImageData>>} */
const views = new WeakMap(); // by image and by request: the part that the network saw

/**
 * The side of pictures of a network's input, which are never smaller than it.
 *
 * @param {number[]} inputSize
 */
export const pictureSide = (inputSize) => Math.min(MAX_SIDE, Math.max(MIN_SIDE, ...inputSize));

/**
 * An explanation, and the part of the image that the network saw: it is fetched once.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {number} side - of the picture, in pixels
 * @param {AbortSignal} signal
 * @returns {Promise<{ explanation: Explanation, view: ImageData }>}
 */
export async function fetchWithView(image, options, side, signal) {
  const ofImage = views.get(image) ?? new Map();
  views.set(image, ofImage);
  const key = `${options.model} ${side}`;
  const known = ofImage.get(key);
  const pictures = known ? {} : { output: "relevance,view", size: side };
  const explanation = await fetchExplanation(image, { ...options, ...pictures }, signal);
  const view = known ?? (await decodePng(explanation.image.view ?? ""));
  ofImage.set(key, view);
  return { explanation, view };
}

/**
 * The whole image, upright, as the file of a small picture. The plain gradient is the quickest way
 * to it.
 *
 * @param {Sendable} image
 */
export const fetchThumbnail = (image) =>
  fetchExplanationFile(
    image,
    { output: "original", size: THUMBNAIL_SIDE, composite: "none" },
    "image/png",
  );
