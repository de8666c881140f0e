// Downloads of an explanation, and code that sends the same request.
import { colormap, isSmooth, model, parameters } from "../method/models.js";
import { typedValue } from "../method/parameters.js";
import { explainOptions } from "../method/question.js";
import { find, make, saveFile } from "../page/dom.js";
import { makeButton } from "../page/fields.js";
import { requireImage, samplePath } from "../page/image.js";
import * as state from "../page/state.js";
import { withStatus } from "../page/status.js";
import { fetchExplanationFile, hasKey } from "../service/requests.js";
import { SNIPPETS } from "./snippets.js";

/** @import { Options } from "../service/types.d.ts" */
/** @import { SnippetRequest } from "./snippets.js" */

/**
 * @typedef {object} FileType
 * @property {string} text
 * @property {string} suffix - of the file's name
 * @property {string} accept - the media type
 * @property {Options} options - of the request
 */

const PNG = "image/png";
const PICTURE = { size: 512, color_bar: true }; // by itself a picture needs its scale
/** @type {FileType[]} */
const FILE_TYPES = [
  {
    text: "Heatmap (PNG)",
    suffix: ".heatmap.png",
    accept: PNG,
    options: { ...PICTURE, output: "heatmap" },
  },
  {
    text: "Overlay (PNG)",
    suffix: ".overlay.png",
    accept: PNG,
    options: { ...PICTURE, output: "overlay" },
  },
  {
    text: "Contours (PNG)",
    suffix: ".contours.png",
    accept: PNG,
    options: { ...PICTURE, output: "overlay", overlay_style: "contours" },
  },
  { text: "Relevance (.npy)", suffix: ".npy", accept: "application/x-npy", options: {} },
  {
    text: "Everything (JSON)",
    suffix: ".json",
    accept: "application/json",
    options: { output: "heatmap,overlay,relevance" },
  },
];

/** Buttons for files and for code. */
export function makeExports() {
  const code = make("pre", { hidden: true, tabindex: 0, id: "code", "aria-label": "Code" });
  const note = make("span", { class: "quiet", role: "status" });
  const downloads = FILE_TYPES.map((type) => makeButton(type.text, () => download(type)));
  const copies = Object.entries(SNIPPETS).map(([language, write]) =>
    makeButton(`Copy as ${language}`, () => copy(write(snippetRequest()), code, note)),
  );
  return make(
    "div",
    {},
    make("h2", {}, "Download"),
    make("div", { class: "row", id: "downloads" }, ...downloads),
    make("p", { id: "download-problem", role: "alert", hidden: true }),
    make("p", { class: "quiet" }, "The same request as code:"),
    make("div", { class: "row", id: "copies" }, ...copies, note),
    code,
  );
}

/** @param {FileType} type */
async function download({ suffix, accept, options }) {
  const image = requireImage();
  const appearance = { cmap: colormap().name, enlarge: isSmooth() ? "smooth" : "" };
  const problem = find("#download-problem");
  Object.assign(problem, { hidden: true, className: "" });
  const content = await withStatus(async () => {
    try {
      const asked = { ...explainOptions(), ...appearance, ...options };
      return await fetchExplanationFile(image, asked, accept);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      Object.assign(problem, { textContent: message, className: "problem", hidden: false });
      return null;
    }
  }, null);
  if (content) saveFile(content, `${image.name.replace(/\.\w+$/, "")}${suffix}`);
}

/**
 * The request of the explanation that is shown.
 *
 * @returns {SnippetRequest}
 */
function snippetRequest() {
  const { sample, name } = requireImage();
  const service = new URL(".", document.baseURI).href;
  const set = parameters().map((one) => [one.name, typedValue(one, state.get(one.name))]);
  return {
    service,
    options: { ...explainOptions(), model: model().name, ...Object.fromEntries(set) },
    file: name,
    sample: sample && `${service}${samplePath(sample)}`,
    hasKey: hasKey(),
  };
}

/**
 * Show code and copy it.
 *
 * @param {string} text
 * @param {HTMLElement} code
 * @param {HTMLElement} note
 */
async function copy(text, code, note) {
  code.textContent = text;
  code.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
    note.textContent = "Copied.";
  } catch {
    getSelection()?.selectAllChildren(code); // without HTTPS a browser may refuse
    note.textContent = "Press Ctrl+C to copy.";
  }
}
