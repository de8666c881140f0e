// What the service saw of an image. Browsers turn some images, and convert their colours, in other
// ways: so the page shows the service's pictures, never its own decoding.

import { fetchExplanation, fetchExplanationFile } from "../service/requests.js";
import { decodePng } from "./decode.js";
import { enlargePicture } from "./draw.js";

/** @import { Sendable } from "../service/requests.js" */
/** @import { Size } from "./enlarge.js" */
/** @typedef {Sendable & { size?: Size }} Sized - `size` of the image, where it is known */
/** @import { Explanation, Options } from "../service/types.d.ts" */

const MIN_SIDE = 512; // of the pictures, in pixels
const MAX_SIDE = 2048;
const THUMBNAIL_SIDE = 320;

/** @type {WeakMap<Sized, Map<string, ImageData>>} */
const views = new WeakMap(); // by image and by request: the part that the network saw

/**
 * The side of pictures of a network's input, which are never smaller than it.
 *
 * @param {number[]} inputSize
 */
const pictureSide = (inputSize) => Math.min(MAX_SIDE, Math.max(MIN_SIDE, ...inputSize));

/**
 * The longer side of what a network sees of an image, in pixels of the image: a larger picture
 * would not show more.
 *
 * @param {Size} image
 * @param {[height: number, width: number]} inputSize
 */
export function ownSide({ width, height }, inputSize) {
  const scale = Math.min(height / inputSize[0], width / inputSize[1]);
  return Math.ceil(Math.max(scale, 1) * Math.max(...inputSize));
}

/**
 * An explanation, and the part of the image that the network saw: it is fetched once, and no
 * larger than the image is.
 *
 * @param {Sized} image
 * @param {Options} options
 * @param {[height: number, width: number]} inputSize - of the network
 * @param {AbortSignal} signal
 * @returns {Promise<{ explanation: Explanation, view: ImageData }>}
 */
export async function fetchWithView(image, options, inputSize, signal) {
  const side = pictureSide(inputSize);
  const ofImage = views.get(image) ?? new Map();
  views.set(image, ofImage);
  const key = `${options.model} ${side}`;
  const known = ofImage.get(key);
  const size = image.size ? Math.min(side, ownSide(image.size, inputSize)) : side;
  const pictures = known ? {} : { output: "relevance,view", size };
  const explanation = await fetchExplanation(image, { ...options, ...pictures }, signal);
  const view = known ?? enlargePicture(await decodePng(explanation.image.view ?? ""), side);
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
