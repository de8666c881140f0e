// What the page says about its own work: waiting, problems, and the question for a key.
import { find, make } from "./dom.js";

const SPINNER_AFTER_MS = 150;
const shown = new Map();

/** Show a problem of a kind; one of each kind is there at most, until there is none any more. */
export const tell = (kind, text, again) => show(kind, problem(text, again));

/** Show what is waited for. */
export const tellWaiting = (kind, text, style = "waiting") =>
  show(kind, make("p", { class: style }, make("span", { class: "spinner" }), text));

function show(kind, content) {
  clear(kind);
  shown.set(kind, content);
  find("#status").append(content);
}

const problem = (text, again) =>
  make(
    "div",
    { class: "problem", role: "alert" },
    make("span", {}, text),
    again && make("button", { type: "button", click: again }, "Try again"),
  );

/** What has failed, in words; with a way to try it once more, where that may help. */
export const failed = (error, again) => problem(error.message, isRefused(error) ? null : again);

export function clear(kind) {
  shown.get(kind)?.remove();
  shown.delete(kind);
}

/**
 * Run some work: a spinner where it takes long, its problem where it fails; `again` tries it once more.
 * Of each kind of work there is one problem at most: what succeeds clears its own, and no other.
 */
export async function watched(
  work,
  again,
  { kind = "answer", text = "The network is looking …" } = {},
) {
  clear(kind);
  const busy = Symbol(kind);
  const timer = setTimeout(() => tellWaiting(busy, text, "busy"), SPINNER_AFTER_MS);
  try {
    return await work();
  } catch (error) {
    if (error.name !== "AbortError") tell(kind, error.message, isRefused(error) ? null : again);
    return null;
  } finally {
    clearTimeout(timer);
    clear(busy);
  }
}

let asking = null; // all requests that need a key wait for the same one

// asking the same once more would be refused once more
const isRefused = ({ status }) => status >= 400 && status < 500;

/** Ask for a key, as the service does. */
export function ask(text) {
  asking ??= new Promise((resolve) => {
    const input = make("input", {
      type: "password",
      autocomplete: "off",
      "aria-label": "API key",
      required: true,
      pattern: "[\\x21-\\x7e]+",
      title: "Letters, digits and signs of ASCII, without spaces",
    });
    const form = make(
      "form",
      { class: "problem" },
      make("p", {}, text),
      make("div", { class: "row" }, input, make("button", {}, "Use this key")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      asking = null;
      resolve(input.value);
    });
    find("#status").append(form);
    input.focus();
  });
  return asking;
}
