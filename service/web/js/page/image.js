// The image that is explained: one of the samples, or the visitor's own.
import { smaller } from "./smaller.js";
import * as state from "./state.js";
import { clear, withStatus } from "./status.js";

/** @import { Limits, Size } from "./smaller.js" */

/**
 * @typedef {object} ChosenImage
 * @property {Blob} blob - what is sent
 * @property {string} name - of its file
 * @property {string | null} sample - null for the visitor's own image
 * @property {Size} [size] - where the browser can tell
 * @property {Size} [reduced] - where it was made smaller here, to be within the service's limits
 */

/**
 * @typedef {object} Sources
 * @property {Promise<Limits | null>} limits - of an image
 * @property {(path: string) => Promise<Blob>} fetchFile - reads a file of the service
 */

export const SAMPLES = [
  "cat",
  "horse",
  "ship",
  "frog",
  "truck",
  "bird",
  "deer",
  "dog",
  "airplane",
  "automobile",
];
const SAMPLE_SIZE = { width: 32, height: 32 };
const OWN = "own"; // the value of `sample` in the address for the visitor's own image
const READING = { kind: "image", text: "Reading the image …" };

/** @type {(() => void)[]} */
const listeners = [];
/** @type {ChosenImage | null} */
let current = null;
/** @type {ChosenImage | null} */
let own = null; // kept, so that the browser's "back" finds it
/** @type {Sources} */
let sources;
let nRequests = 0; // an image whose request is not the latest is not shown when it arrives

export const currentImage = () => current;

/**
 * The image, where a view is drawn: there is one.
 *
 * @returns {ChosenImage}
 */
export function requireImage() {
  if (!current) throw new Error("no image is chosen");
  return current;
}

/** @param {() => void} listener */
export const onImage = (listener) => listeners.push(listener);

/** @param {string} name */
export const samplePath = (name) => `web/samples/${name}.jpg`;

/**
 * Load the image of the address, now and whenever it changes.
 *
 * @param {Sources} given
 */
export function startImages(given) {
  sources = given;
  state.onChange((names) => {
    if (names.includes("sample")) loadSample();
  });
  return loadSample();
}

/**
 * Choose a sample; its predicted class is explained.
 *
 * @param {string} name
 */
export function chooseSample(name) {
  const isDefault = state.get("sample") === "" && name === SAMPLES[0];
  state.update({ ...(!isDefault && { sample: name }), target: null, contrast: null });
}

async function loadSample() {
  const name = state.get("sample", SAMPLES[0]);
  clear(READING.kind);
  nRequests += 1;
  const request = nRequests;
  if (name === OWN) {
    use(own);
    return;
  }
  if (current?.sample === name) {
    use(current);
    return;
  }
  if (!SAMPLES.includes(name)) {
    state.update({ sample: null }, { isMinor: true });
    return;
  }
  const read = () => readSample(name);
  const loaded = await withStatus(read, loadSample, READING);
  if (loaded && nRequests === request) use(loaded);
}

/**
 * @param {string} name
 * @returns {Promise<ChosenImage>}
 */
async function readSample(name) {
  const blob = await sources.fetchFile(samplePath(name));
  return { blob, name: `${name}.jpg`, sample: name, size: SAMPLE_SIZE };
}

/**
 * Choose an image of the visitor's own.
 *
 * @param {File} file
 */
export async function chooseFile(file) {
  nRequests += 1;
  const request = nRequests;
  const loaded = await withStatus(() => readFile(file), null, READING);
  if (!loaded || nRequests !== request) return;
  own = loaded;
  if (state.get("sample") === OWN) {
    state.update({ target: null, contrast: null }, { isMinor: true });
    use(own);
  } else {
    state.update({ sample: OWN, target: null, contrast: null }); // its listener takes the image
  }
}

/**
 * Read a file at once: it may be gone when its next explanation is requested.
 *
 * @param {File} file
 * @returns {Promise<ChosenImage>}
 */
async function readFile(file) {
  const blob = new Blob([await file.arrayBuffer()], { type: file.type });
  const bitmap = await bitmapOf(blob);
  const name = file.name || "pasted.png";
  const reduced = await smaller(blob, bitmap, await sources.limits);
  const size = bitmap ? { width: bitmap.width, height: bitmap.height } : undefined;
  bitmap?.close();
  if (!reduced) return { blob, name, sample: null, size };
  const stem = name.replace(/\.\w+$/, "");
  return { blob: reduced.blob, name: `${stem}.small.jpg`, sample: null, reduced: reduced.size };
}

/**
 * The image as the browser reads it, upright; null where it cannot.
 *
 * @param {Blob} blob
 */
const bitmapOf = (blob) =>
  createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);

/** @param {ChosenImage | null} chosen */
function use(chosen) {
  current = chosen;
  for (const listener of listeners) listener();
}
