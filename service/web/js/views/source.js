// The card of the image: samples, files, the camera, dropping and pasting, and a note.
import { fetchThumbnail } from "../map/pictures.js";
import { find, make, saveFile } from "../page/dom.js";
import { makeButton } from "../page/fields.js";
import {
  chooseFile,
  chooseSample,
  currentImage,
  onImage,
  SAMPLES,
  samplePath,
} from "../page/image.js";

/** @import { ChosenImage } from "../page/image.js" */
/** @import { Size } from "../page/smaller.js" */

/** Make the controls that choose an image, and show which one is chosen. */
export function drawSource() {
  find("#samples").append(...SAMPLES.map(makeSample));
  for (const selector of ["#file", "#camera"]) listenToInput(selector);
  listenToDrops();
  addEventListener("paste", (event) => takeFirst(event.clipboardData, event));
  onImage(drawChosen);
}

/** @param {string} name */
const makeSample = (name) =>
  make(
    "button",
    {
      type: "button",
      "data-sample": name,
      title: name,
      "aria-pressed": "false",
      click: () => chooseSample(name),
    },
    make("img", { src: samplePath(name), alt: `Sample: ${name}`, width: 32, height: 32 }),
  );

/** @param {string} selector */
function listenToInput(selector) {
  const input = /** @type {HTMLInputElement} */ (find(selector));
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) chooseFile(file);
    input.value = ""; // the same file may be chosen again
  });
}

function listenToDrops() {
  const hint = find("#dropping");
  addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    hint.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) hint.hidden = true;
  });
  addEventListener("drop", (event) => {
    hint.hidden = true;
    takeFirst(event.dataTransfer, event);
  });
}

/**
 * Choose the first file of a drop or a paste.
 *
 * @param {DataTransfer | null} transfer
 * @param {Event} event
 */
function takeFirst(transfer, event) {
  const file = transfer?.files[0];
  if (!file) return;
  event.preventDefault();
  chooseFile(file);
}

function drawChosen() {
  const chosen = currentImage();
  /** @type {NodeListOf<HTMLElement>} */
  const buttons = document.querySelectorAll("#samples button");
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button.dataset.sample === chosen?.sample));
  }
  find("#note").replaceChildren(
    noteOf(chosen),
    ...(chosen?.reduced ? smallerNote(chosen, chosen.reduced) : []),
  );
  if (chosen?.sample === null) showThumbnail(chosen);
}

/** @param {ChosenImage | null} chosen */
function noteOf(chosen) {
  if (!chosen) return "This link was made for an image that is not part of it: choose one.";
  if (chosen.sample) return "Samples are from the CIFAR-10 test set.";
  return `${chosen.name}: your own image is not part of the link.`;
}

/**
 * What was done to the image. It can be saved: code for the same request needs it.
 *
 * @param {ChosenImage} chosen
 * @param {Size} size
 */
function smallerNote({ blob, name }, { width, height }) {
  const size = `${width} × ${height} pixels`;
  return [
    make(
      "span",
      { id: "smaller" },
      ` The image was too large for the service, so it was made smaller here: ${size}.`,
    ),
    makeButton("Save the smaller image", () => saveFile(blob, name)),
  ];
}

/** @type {WeakMap<ChosenImage, string>} */
const thumbnails = new WeakMap(); // addresses of pictures

/**
 * Show a small picture of the visitor's own image, as the service decoded it; samples are seen
 * anyway. Where the service refuses the image, its explanation says why.
 *
 * @param {ChosenImage} chosen
 */
async function showThumbnail(chosen) {
  const known = thumbnails.get(chosen);
  const address = known ?? (await fetchThumbnail(chosen).then(URL.createObjectURL, () => ""));
  if (!address || chosen !== currentImage()) return;
  thumbnails.set(chosen, address);
  const picture = make("img", { class: "thumbnail", src: address, alt: chosen.name });
  find("#note").querySelector(".thumbnail")?.remove();
  find("#note").append(picture);
}
