// The image that is explained: a sample of ours, or one of the visitor's own.
import { find, make, save } from "./dom.js";
import { smaller } from "./smaller.js";
import * as state from "./state.js";
import { clear, watched } from "./status.js";

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
const THUMBNAIL_PIXELS = 160;
const READING = { kind: "image", text: "Reading the image …" };
const listeners = [];
let current = null;
let own = null; // kept for the way back to it
let limits = null; // a promise of what an image may have
let fetchFile = null; // gives a file of the service as a blob
let turn = 0; // of the last image that was asked for: an older one that comes later is not shown

export const image = () => current;
export const onImage = (listener) => listeners.push(listener);
export const samplePath = (name) => `web/samples/${name}.jpg`;

/** Make the ways in: samples, files, the camera, dropping and pasting. `options.limits` promises the limits of an image. */
export function start(options) {
  ({ limits, fetchFile } = options);
  find("#samples").append(
    ...SAMPLES.map((name) =>
      make(
        "button",
        {
          type: "button",
          "data-sample": name,
          title: name,
          "aria-pressed": "false",
          click: () => choose(name),
        },
        make("img", { src: samplePath(name), alt: `Sample: ${name}`, width: 32, height: 32 }),
      ),
    ),
  );
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
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) sign.hidden = true;
  });
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
  clear(READING.kind);
  turn += 1;
  const mine = turn;
  if (name === "own") {
    use(own);
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
  const loaded = await watched(
    async () => {
      const blob = await fetchFile(samplePath(name));
      return { blob, name: `${name}.jpg`, sample: name, bitmap: await bitmapOf(blob) };
    },
    loadSample,
    READING,
  );
  if (loaded && turn === mine) use(loaded);
}

async function take(file) {
  turn += 1;
  const mine = turn;
  // read now: the file may be gone when it is asked about again
  const read = await watched(
    async () => {
      const blob = new Blob([await file.arrayBuffer()], { type: file.type });
      return fitting({
        blob,
        name: file.name || "pasted.png",
        sample: null,
        bitmap: await bitmapOf(blob),
      });
    },
    null,
    READING,
  );
  if (!read || turn !== mine) return;
  own?.bitmap?.close();
  own = read;
  if (state.get("sample") === "own") {
    state.update({ target: null, contrast: null }, { isSmall: true });
    use(own);
  } else {
    state.update({ sample: "own", target: null, contrast: null }); // which takes it up
  }
}

/** The image, or a smaller one where the service would not take it. */
async function fitting(read) {
  const blob = await smaller(read.blob, read.bitmap, await limits);
  if (!blob) return read;
  read.bitmap.close();
  return {
    ...read,
    blob,
    name: `${read.name.replace(/\.\w+$/, "")}.small.jpg`,
    bitmap: await bitmapOf(blob),
    isSmaller: true,
  };
}

/** The picture; null where the browser cannot show what the service may well read. */
const bitmapOf = (blob) =>
  createImageBitmap(blob, { imageOrientation: "from-image" }).catch(() => null);

/** A small picture of the visitor's own image; samples are seen anyway. */
function thumbnail(chosen) {
  if (chosen?.sample !== null || !chosen.bitmap) return [];
  const { bitmap } = chosen;
  const scale = THUMBNAIL_PIXELS / Math.max(bitmap.width, bitmap.height);
  const canvas = make("canvas", {
    class: "thumbnail",
    role: "img",
    "aria-label": chosen.name,
    width: Math.ceil(scale * bitmap.width),
    height: Math.ceil(scale * bitmap.height),
  });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return [canvas];
}

/** What has been done to a photo; it can be had, as the code for the same question needs it. */
function smallerNote(chosen) {
  if (!chosen?.isSmaller) return [];
  const { width, height } = chosen.bitmap;
  return [
    make(
      "span",
      { id: "smaller" },
      ` The photo was too large for the service, so it was made smaller here: ${width} × ${height} pixels.`,
    ),
    make(
      "button",
      { type: "button", click: () => save(chosen.blob, chosen.name) },
      "Save the smaller one",
    ),
  ];
}

function use(chosen) {
  current = chosen;
  const note = "This link was about an image of somebody's own: choose one to explain.";
  for (const button of document.querySelectorAll("#samples button")) {
    button.setAttribute("aria-pressed", String(button.dataset.sample === chosen?.sample));
  }
  find("#note").replaceChildren(
    !chosen
      ? note
      : chosen.sample
        ? "Samples are from the CIFAR-10 test set."
        : `${chosen.name}: an image of your own is not part of the link.`,
    ...smallerNote(chosen),
    ...thumbnail(chosen),
  );
  for (const listener of listeners) listener();
}
