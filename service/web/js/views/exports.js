// What can be taken away: files, and code that asks the same question.
import { contentOf, explain, hasKey } from "../service/requests.js";
import { colormap, isSmooth, model } from "../method/controls.js";
import { find, make, save } from "../page/dom.js";
import { explainOptions } from "../method/question.js";
import { image } from "../page/image.js";
import { snippets } from "./snippets.js";
import { watched } from "../page/status.js";

// by itself a picture needs its scale
const PICTURE = { size: 512, color_bar: true };
const FILES = [
  {
    text: "Heatmap (PNG)",
    suffix: ".heatmap.png",
    accept: "image/png",
    options: { ...PICTURE, output: "heatmap" },
  },
  {
    text: "Overlay (PNG)",
    suffix: ".overlay.png",
    accept: "image/png",
    options: { ...PICTURE, output: "overlay" },
  },
  {
    text: "Contours (PNG)",
    suffix: ".contours.png",
    accept: "image/png",
    options: { ...PICTURE, output: "overlay", overlay_style: "contours" },
  },
  { text: "Relevance (.npy)", suffix: ".npy", accept: "application/x-npy", options: {} },
  {
    text: "All of it (JSON)",
    suffix: ".json",
    accept: "application/json",
    options: { output: "heatmap,overlay,relevance" },
  },
];

/** Buttons for files, and for code. */
export function makeExports() {
  const code = make("pre", { hidden: true, tabindex: 0, id: "code", "aria-label": "Code" });
  const note = make("span", { class: "quiet", role: "status" });
  return make(
    "div",
    {},
    make("h2", {}, "Take it with you"),
    make(
      "div",
      { class: "row", id: "downloads" },
      ...FILES.map((file) =>
        make("button", { type: "button", click: () => download(file) }, file.text),
      ),
    ),
    make("p", { id: "download-problem", role: "alert", hidden: true }),
    make("p", { class: "quiet" }, "The same question, as code:"),
    make(
      "div",
      { class: "row", id: "copies" },
      ...Object.entries(snippets).map(([language, write]) =>
        make(
          "button",
          { type: "button", click: () => copy(write(request()), code, note) },
          `Copy as ${language}`,
        ),
      ),
      note,
    ),
    code,
  );
}

async function download({ suffix, accept, options }) {
  const looks = { cmap: colormap().name, enlarge: isSmooth() ? "smooth" : "" };
  const asked = { ...explainOptions(), ...looks, ...options };
  const note = find("#download-problem");
  note.hidden = true;
  const content = await watched(() =>
    explain(image(), asked, { accept })
      .then((answer) => contentOf(answer, "blob"))
      .catch((error) => {
        Object.assign(note, { textContent: error.message, className: "problem", hidden: false }); // where it happened
      }),
  );
  if (content) save(content, `${image().name.replace(/\.\w+$/, "")}${suffix}`);
}

/** The question, complete, as the code has it. */
function request() {
  const options = { model: model().name, ...explainOptions(), output: "heatmap,relevance" };
  const given = Object.entries(options).filter(([, value]) => value !== "" && value !== undefined);
  const { sample, name } = image();
  const base = new URL(".", document.baseURI).href;
  return {
    url: `${base}explain?${new URLSearchParams(given)}`,
    file: sample ? null : name,
    hasKey: hasKey(),
    sample: sample && `${base}web/samples/${sample}.jpg`,
  };
}

async function copy(text, code, note) {
  code.textContent = text;
  code.hidden = false;
  try {
    await navigator.clipboard.writeText(text);
    note.textContent = "Copied.";
  } catch {
    // without https, a browser may refuse
    getSelection().selectAllChildren(code);
    note.textContent = "Press Ctrl+C to copy.";
  }
}
