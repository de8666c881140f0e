// The image that is explained: a sample of ours, or one of the visitor's own.
import { send } from "./api.js";
import { find, make } from "./dom.js";
import * as state from "./state.js";
import { watched } from "./status.js";

export const SAMPLES = ["cat", "horse", "ship", "frog", "truck", "bird", "deer", "dog", "airplane", "automobile"];
const listeners = [];
let current = null;
let own = null; // kept for the way back to it

export const image = () => current;
export const onImage = (listener) => listeners.push(listener);
export const samplePath = (name) => `web/samples/${name}.jpg`;

/** Make the ways in: samples, files, the camera, dropping and pasting. */
export function start() {
  find("#samples").append(...SAMPLES.map((name) => make(
    "button",
    { type: "button", "data-sample": name, title: name, "aria-pressed": "false", click: () => choose(name) },
    make("img", { src: samplePath(name), alt: `Sample: ${name}`, width: 32, height: 32 }),
  )));
  for (const input of [find("#file"), find("#camera")]) {
    input.addEventListener("change", () => {
      if (input.files[0]) take(input.files[0]);
      input.value = ""; // the same file may be chosen again
    });
  }
  takeDropped();
  addEventListener("paste", (event) => takeFirst(event.clipboardData, event));
  state.onChange((names) => names.includes("sample") && loadSample());
  return loadSample();
}

function takeDropped() {
  const sign = find("#dropping");
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    sign.hidden = false;
  });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) sign.hidden = true; });
  addEventListener("drop", (event) => {
    sign.hidden = true;
    takeFirst(event.dataTransfer, event);
  });
}

function takeFirst(transfer, event) {
  const [file] = transfer?.files ?? [];
  if (!file) return;
  event.preventDefault();
  take(file);
}

function choose(name) {
  const isDefault = state.get("sample") === "" && name === SAMPLES[0];
  state.update({ ...(!isDefault && { sample: name }), target: null, contrast: null });
}

async function loadSample() {
  const name = state.get("sample", SAMPLES[0]);
  if (name === "own") {
    if (own) use(own);
    else find("#note").textContent = "This link was about an image of somebody's own: choose one to explain.";
    return;
  }
  if (current?.sample === name) {
    use(current);
    return;
  }
  if (!SAMPLES.includes(name)) {
    state.update({ sample: null }, { isSmall: true });
    return;
  }
  const blob = await watched(async () => (await send(samplePath(name))).blob());
  const isStill = state.get("sample", SAMPLES[0]) === name;
  if (blob && isStill) use({ blob, name: `${name}.jpg`, sample: name, bitmap: await bitmapOf(blob) });
}

async function take(file) {
  const bitmap = await bitmapOf(file);
  own = { blob: file, name: file.name || "pasted.png", sample: null, bitmap };
  if (state.get("sample") === "own") {
    state.update({ target: null, contrast: null }, { isSmall: true });
    use(own);
  } else {
    state.update({ sample: "own", target: null, contrast: null }); // which takes it up
  }
}

/** The picture; null where the browser cannot show what the service may well read. */
const bitmapOf = (blob) => createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);

function use(chosen) {
  current = chosen;
  for (const button of document.querySelectorAll("#samples button")) {
    button.setAttribute("aria-pressed", String(button.dataset.sample === chosen.sample));
  }
  find("#note").textContent = chosen.sample
    ? "Samples are from the CIFAR-10 test set."
    : `${chosen.name}: an image of your own is not part of the link.`;
  for (const listener of listeners) listener();
}
