// The page's status line: what it waits for, what failed, and the form for an API key.
import { find, make } from "./dom.js";
import { makeButton } from "./fields.js";

/** @typedef {Error & { status?: number }} RequestError */
/** @typedef {(() => void) | null} Retry */

const SPINNER_AFTER_MS = 150;
/** @type {Map<string | symbol, HTMLElement>} */
const messages = new Map();

/**
 * Show a message; it replaces the one of the same kind.
 *
 * @param {string | symbol} kind
 * @param {HTMLElement} message
 */
function show(kind, message) {
  clear(kind);
  messages.set(kind, message);
  find("#status").append(message);
}

/** @param {string | symbol} kind */
export function clear(kind) {
  messages.get(kind)?.remove();
  messages.delete(kind);
}

/**
 * Show an error of the page itself.
 *
 * @param {string} kind
 * @param {string} text
 */
export const showProblem = (kind, text) => show(kind, makeProblem(text, null));

/**
 * Show what is waited for, with a spinner.
 *
 * @param {string | symbol} kind
 * @param {string} text
 */
export const showWaiting = (kind, text, style = "waiting") =>
  show(kind, make("p", { class: style }, make("span", { class: "spinner" }), text));

/**
 * @param {string} text
 * @param {Retry} retry
 */
const makeProblem = (text, retry) =>
  make(
    "div",
    { class: "problem", role: "alert" },
    make("span", {}, text),
    retry && makeButton("Try again", retry),
  );

/**
 * A request that failed, with a button that repeats it, unless it would be refused again.
 *
 * @param {RequestError} error
 * @param {Retry} retry
 */
export const problemOf = (error, retry) =>
  makeProblem(error.message, isRefused(error) ? null : retry);

const TOO_MANY = 429;
const OUT_OF_MEMORY = 507;

/**
 * Whether the service would refuse the request again, if it were repeated.
 *
 * @param {RequestError} error
 */
export const isRefused = ({ status = 0 }) =>
  (status >= 400 && status < 500 && status !== TOO_MANY) || status === OUT_OF_MEMORY;

/**
 * Whether work was cancelled, which is no failure.
 *
 * @param {unknown} error
 */
export const isCancelled = (error) => error instanceof DOMException && error.name === "AbortError";

/**
 * Run work under the status line: a spinner where it takes long, its problem where it fails.
 * There is one problem of each kind at most; work that succeeds clears that of its own kind only.
 *
 * @template Result
 * @param {() => Promise<Result>} work
 * @param {Retry} retry
 * @returns {Promise<Result | null>} null where it failed or was cancelled
 */
export async function withStatus(
  work,
  retry,
  { kind = "answer", text = "Computing the explanation …" } = {},
) {
  clear(kind);
  const waiting = Symbol(kind);
  const timer = setTimeout(() => showWaiting(waiting, text, "busy"), SPINNER_AFTER_MS);
  try {
    return await work();
  } catch (error) {
    if (!isCancelled(error)) show(kind, problemOf(/** @type {RequestError} */ (error), retry));
    return null;
  } finally {
    clearTimeout(timer);
    clear(waiting);
  }
}

/** @type {Promise<string> | null} */
let keyRequest = null; // all requests that need a key wait for the same form

/**
 * Ask the visitor for an API key.
 *
 * @param {string} text - what the service said
 */
export function askForKey(text) {
  keyRequest ??= new Promise((resolve) => {
    const input = make("input", {
      type: "password",
      autocomplete: "off",
      "aria-label": "API key",
      required: true,
      pattern: "[\\x21-\\x7e]+",
      title: "ASCII letters, digits and signs, without spaces",
    });
    const row = make("div", { class: "row" }, input, make("button", {}, "Use this key"));
    const form = make("form", { class: "problem" }, make("p", {}, text), row);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      keyRequest = null;
      resolve(input.value);
    });
    find("#status").append(form);
    input.focus();
  });
  return keyRequest;
}
