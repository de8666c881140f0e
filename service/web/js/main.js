// The page: which view is shown, and when it is drawn anew.
import { isByClass } from "./method/columns.js";
import { drawControls } from "./method/controls.js";
import { hasModels, isAsListed, loadModels } from "./method/models.js";
import { makeQuestion } from "./method/question.js";
import { find, make, replaceContent } from "./page/dom.js";
import { currentImage, onImage, startImages } from "./page/image.js";
import * as state from "./page/state.js";
import { clear, isCancelled, showProblem, withStatus } from "./page/status.js";
import { forgetResults } from "./service/answers.js";
import { fetchFile, onExplanation } from "./service/requests.js";
import * as compare from "./views/compare.js";
import * as explain from "./views/explain.js";
import * as layers from "./views/layers.js";
import * as model from "./views/model.js";
import { drawSource } from "./views/source.js";

const STALE_AFTER_MS = 150;
// values of the address that change no control
const NOT_IN_CONTROLS = ["side", "target", "contrast", "columns", "own_scale", "evidence"];
/** @typedef {(signal: AbortSignal, changed?: string[]) => Promise<void>} Show */
/** @type {Record<string, { show: Show }>} */
const VIEWS = { explain, compare, layers, model };
let running = new AbortController(); // the view that is being drawn

const viewName = () => (Object.hasOwn(VIEWS, state.get("view")) ? state.get("view") : "explain");
/** @returns {NodeListOf<HTMLElement>} */
const viewLinks = () => document.querySelectorAll("nav a");

/**
 * Draw the view of the address.
 *
 * @param {string[]} [changed] - the values of the address that changed; all where not given
 */
async function draw(changed) {
  running.abort();
  clear("page");
  running = new AbortController();
  markLink();
  if (!changed?.every((name) => NOT_IN_CONTROLS.includes(name))) drawViewControls();
  if (!currentImage() && viewName() !== "model") {
    clear("answer");
    find("#view").replaceChildren();
    return;
  }
  const { signal } = running;
  const stopTimer = clearWhenStale(!changed || changed.includes("view"));
  const show = async () => {
    await VIEWS[viewName()].show(signal, changed);
    return true;
  };
  const isDone = await withStatus(show, () => draw());
  stopTimer();
  if (!isDone && !signal.aborted) replaceContent(find("#view"), requestCard());
}

/**
 * Clear the view where the next one takes long: it answers another request.
 *
 * @param {boolean} isOther - whether the view itself changes
 */
function clearWhenStale(isOther) {
  const stale = isOther ? find("#view").firstElementChild : null;
  const timer = setTimeout(() => {
    if (stale?.parentNode) replaceContent(find("#view"));
  }, STALE_AFTER_MS);
  return () => clearTimeout(timer);
}

/** The class of a request that failed, in place of its explanation: it may be what is wrong. */
function requestCard() {
  const hasClass = state.get("target") || state.get("contrast");
  if (viewName() === "model" || !hasClass) return null;
  return make("div", { class: "card" }, make("h2", {}, "Request"), makeQuestion());
}

function markLink() {
  for (const link of viewLinks()) {
    if (link.dataset.view === viewName()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function drawViewControls() {
  const view = viewName();
  const hasColumnsOfMethods = view === "compare" && !isByClass();
  drawControls({
    hasMethod: view !== "model" && !hasColumnsOfMethods,
    hasColors: view !== "model",
  });
}

for (const link of viewLinks()) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { view = null } = link.dataset;
    state.update({ view: view === "explain" ? null : view });
  });
}

/** Hashes of models that were replaced while the page is open. */
const replacedBy = new Set();

/**
 * List the models again where one was replaced, and draw its answers; once for each hash, as
 * servers behind one address may have different ones.
 *
 * @param {{ model: string, model_sha256: string }} answer
 */
async function refreshModels(answer) {
  if (isAsListed(answer) || replacedBy.has(answer.model_sha256)) return;
  replacedBy.add(answer.model_sha256);
  forgetResults();
  await loadModels();
  draw();
}

async function start() {
  const limits = withStatus(loadModels, () => location.reload(), { kind: "models" });
  drawSource();
  const firstImage = startImages({ limits, fetchFile }); // at once: it waits for no model
  await limits;
  if (!hasModels()) return;
  state.onChange((names) => {
    const isDrawn = names.length === 1 && names[0] === "opacity"; // by its slider
    if (!isDrawn && !names.includes("sample")) draw(names); // a sample is drawn when it is loaded
  });
  await firstImage;
  onImage(() => draw());
  onExplanation(refreshModels);
  draw();
}

addEventListener("unhandledrejection", (event) => {
  if (isCancelled(event.reason)) event.preventDefault();
  else showProblem("page", `The page failed: ${event.reason?.message}`);
});

start();
