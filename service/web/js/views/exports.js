// Downloads of an explanation, and code that sends the same request.
import { pictureFile } from "../map/file.js";
import { colormap, model, parameters } from "../method/models.js";
import { typedValue } from "../method/parameters.js";
import { explainOptions } from "../method/question.js";
import { find, make, saveFile } from "../page/dom.js";
import { makeButton } from "../page/fields.js";
import { requireImage, samplePath } from "../page/image.js";
import * as state from "../page/state.js";
import { withStatus } from "../page/status.js";
import { fetchExplanationFile, hasKey } from "../service/requests.js";
import { SNIPPETS } from "./snippets.js";

/** @import { Color } from "../map/colors.js" */
/** @import { Options } from "../service/types.d.ts" */
/** @import { SnippetRequest } from "./snippets.js" */

/**
 * What the page has drawn.
 *
 * @typedef {object} Drawn
 * @property {Color[]} table
 * @property {number} bound
 * @property {() => ImageData} overlay
 * @property {() => ImageData} heatmap
 */

/**
 * A file of the service.
 *
 * @typedef {object} FileType
 * @property {string} text
 * @property {string} suffix - of the file's name
 * @property {string} accept - the media type
 * @property {Options} options - of the request
 */

const PNG = "image/png";
/** @type {FileType[]} */
const FILE_TYPES = [
  {
    text: "Contours (PNG)",
    suffix: ".contours.png",
    accept: PNG,
    options: { size: 512, color_bar: true, output: "overlay", overlay_style: "contours" },
  },
  { text: "Relevance (.npy)", suffix: ".npy", accept: "application/x-npy", options: {} },
  {
    text: "Everything (JSON)",
    suffix: ".json",
    accept: "application/json",
    options: { output: "heatmap,overlay,relevance,view" },
  },
];

/**
 * Buttons for files and for code. Pictures are as they are on the screen.
 *
 * @param {Drawn} drawn
 */
export function makeExports({ table, bound, overlay, heatmap }) {
  const code = make("pre", { hidden: true, tabindex: 0, id: "code", "aria-label": "Code" });
  const note = make("span", { class: "quiet", role: "status" });
  const save = async (/** @type {ImageData} */ picture, /** @type {string} */ suffix) =>
    saveFile(await pictureFile(picture, table, bound), fileName(suffix));
  const downloads = [
    makeButton("Overlay (PNG)", () => save(overlay(), ".overlay.png")),
    makeButton("Heatmap (PNG)", () => save(heatmap(), ".heatmap.png")),
    ...FILE_TYPES.map((type) => makeButton(type.text, () => download(type))),
  ];
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

/** @param {string} suffix */
const fileName = (suffix) => `${requireImage().name.replace(/\.\w+$/, "")}${suffix}`;

/** @param {FileType} type */
async function download({ suffix, accept, options }) {
  const image = requireImage();
  const appearance = { cmap: colormap().name, enlarge: state.get("enlarge") };
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
  if (content) saveFile(content, fileName(suffix));
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
