// Elements: made, found and replaced.

/** @typedef {string | number | boolean | null | undefined | ((event: Event) => void)} Attribute */
/** @typedef {Node | string | null | undefined} Child */

/**
 * Make an element: `make("p", { class: "quiet" }, "text", child)`. Functions become listeners;
 * what is null or undefined, and an attribute that is false, is left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Attribute>} [attributes]
 * @param {...Child} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/**
 * Make an element of a drawing.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 */
export function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** @param {Child[]} children */
const present = (children) => children.filter((child) => child !== null && child !== undefined);

/**
 * The element of a selector, which the page must have.
 *
 * @param {string} selector
 */
export function find(selector) {
  const element = document.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`the page has no ${selector}`);
  return element;
}

/**
 * The drawing context of a canvas.
 *
 * @param {HTMLCanvasElement} canvas
 */
export function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser cannot draw on a canvas");
  return context;
}

/**
 * Replace the content of an element. The control that has the focus keeps it where there is a new
 * one like it, else the element around it gets the focus.
 *
 * @param {HTMLElement} element
 * @param {...Child} children
 */
export function replaceContent(element, ...children) {
  const focused = element.contains(document.activeElement) ? keyOf(document.activeElement) : "";
  element.replaceChildren(...present(children));
  if (!focused) return;
  /** @type {NodeListOf<HTMLElement>} */
  const controls = element.querySelectorAll("button, input, select, [tabindex]");
  /** @type {HTMLElement | null} */
  const around = element.closest("[tabindex]");
  const same = [...controls].find((control) => keyOf(control) === focused);
  (same ?? around)?.focus({ preventScroll: true });
}

/**
 * What identifies a control before and after it is drawn anew.
 *
 * @param {Element | null} element
 */
const keyOf = (element) =>
  element?.id || element?.getAttribute("aria-label") || element?.textContent || "";

const REVOKE_AFTER_MS = 10_000;

/**
 * Offer a file for download.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function saveFile(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_AFTER_MS);
}
