// The page: which view is shown, and when it is drawn anew.
import * as columns from "./columns.js";
import * as compare from "./compare.js";
import * as controls from "./controls.js";
import { find, make } from "./dom.js";
import * as explain from "./explain.js";
import { image, onImage, start } from "./image.js";
import * as layers from "./layers.js";
import * as model from "./model.js";
import { question } from "./question.js";
import * as state from "./state.js";
import { tell, watched } from "./status.js";

const VIEWS = { explain, compare, layers, model };
let running = new AbortController();

const viewName = () => (Object.hasOwn(VIEWS, state.get("view")) ? state.get("view") : "explain");

async function draw(changed) {
  running.abort();
  running = new AbortController();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === viewName()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!changed || changed.some((name) => !["side", "target", "contrast", "columns", "own_scale"].includes(name))) drawControls();
  if (!image() && viewName() !== "model") {
    find("#view").replaceChildren();
    return;
  }
  const { signal } = running;
  const isDone = await watched(async () => {
    await VIEWS[viewName()].show(signal, changed);
    return true;
  }, () => draw());
  if (!isDone && !signal.aborted) find("#view").replaceChildren(...refused()); // an old answer would mislead
}

/** What was asked, where the answer would be: it may be what is wrong. */
function refused() {
  const isAsked = viewName() !== "model" && (state.get("target") || state.get("contrast"));
  return isAsked ? [make("div", { class: "card" }, question())] : [];
}

function drawControls() {
  const view = viewName();
  const isByMethod = view === "compare" && !columns.isByClass();
  controls.draw({ hasMethod: view !== "model" && !isByMethod, hasColors: view !== "model" });
}

for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    state.update({ view: link.dataset.view === "explain" ? null : link.dataset.view });
  });
}

async function boot() {
  const limits = watched(controls.load, () => location.reload());
  const hasImage = start(limits); // meanwhile: the first picture waits for both
  await limits;
  if (!controls.model()) return;
  state.onChange((names) => {
    if (names.length === 1 && names[0] === "opacity") return; // the slider has drawn it already
    if (!names.includes("sample")) draw(names);
  });
  await hasImage;
  onImage(() => draw());
  draw();
}

addEventListener("unhandledrejection", (event) => {
  if (event.reason?.name === "AbortError") event.preventDefault();
  else tell("problem", `The page has failed: ${event.reason?.message}`);
});

boot();
