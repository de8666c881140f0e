// The page: which view is shown, and when it is drawn anew.
import * as columns from "./method/columns.js";
import * as compare from "./views/compare.js";
import * as controls from "./method/controls.js";
import { find, make, renew } from "./page/dom.js";
import * as explain from "./views/explain.js";
import { image, onImage, start } from "./page/image.js";
import * as layers from "./views/layers.js";
import * as model from "./views/model.js";
import { question } from "./method/question.js";
import { fetchFile } from "./service/requests.js";
import * as state from "./page/state.js";
import { clear, tell, watched } from "./page/status.js";

const STALE_AFTER_MS = 150;
const VIEWS = { explain, compare, layers, model };
let running = new AbortController();

const viewName = () => (Object.hasOwn(VIEWS, state.get("view")) ? state.get("view") : "explain");

async function draw(changed) {
  running.abort();
  clear("page");
  running = new AbortController();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === viewName()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (
    !changed ||
    changed.some((name) => !["side", "target", "contrast", "columns", "own_scale"].includes(name))
  )
    drawControls();
  if (!image() && viewName() !== "model") {
    clear("answer");
    find("#view").replaceChildren();
    return;
  }
  const { signal } = running;
  const stale = !changed || changed.includes("view") ? find("#view").firstElementChild : null;
  const timer = setTimeout(() => stale?.parentNode && renew(find("#view")), STALE_AFTER_MS); // it answers what was asked before
  const isDone = await watched(
    async () => {
      await VIEWS[viewName()].show(signal, changed);
      return true;
    },
    () => draw(),
  );
  clearTimeout(timer);
  if (!isDone && !signal.aborted) renew(find("#view"), ...refused()); // an old answer would mislead
}

/** What was asked, where the answer would be: it may be what is wrong. */
function refused() {
  const isAsked = viewName() !== "model" && (state.get("target") || state.get("contrast"));
  return isAsked
    ? [make("div", { class: "card" }, make("h2", {}, "What was asked"), question())]
    : [];
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
  const limits = watched(controls.load, () => location.reload(), { kind: "models" });
  const hasImage = start({ limits, fetchFile }); // meanwhile: the first picture waits for both
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
  else tell("page", `The page has failed: ${event.reason?.message}`);
});

boot();
