// What the page says about its own work: waiting, problems, and the question for a key.
import { find, make } from "./dom.js";

const SPINNER_AFTER_MS = 150;
const shown = new Map();

/** Show a line of a kind; one line of each kind is there at most. */
export function tell(kind, text) {
  clear(kind);
  const content = kind === "problem"
    ? make("p", { class: "problem", role: "alert" }, text)
    : make("p", { class: "waiting" }, make("span", { class: "spinner" }), text);
  shown.set(kind, content);
  find("#status").append(content);
}

export function clear(kind) {
  shown.get(kind)?.remove();
  shown.delete(kind);
}

/** Run some work: a spinner where it takes long, its problem where it fails. */
export async function watched(work) {
  clear("problem");
  const timer = setTimeout(() => tell("busy", "The network is looking …"), SPINNER_AFTER_MS);
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") tell("problem", error.message);
    return null;
  } finally {
    clearTimeout(timer);
    clear("busy");
  }
}

/** Ask for a key, as the service does. */
export function ask(text) {
  return new Promise((resolve) => {
    const input = make("input", { type: "password", autocomplete: "off", "aria-label": "API key" });
    const form = make("form", { class: "problem" }, make("p", {}, text), make("div", { class: "row" }, input, make("button", {}, "Use this key")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      resolve(input.value);
    });
    find("#status").append(form);
    input.focus();
  });
}
