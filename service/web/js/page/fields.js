// Form controls with their labels.
import { make } from "./dom.js";

/** @typedef {[value: string, text: string]} Entry */

/**
 * A labelled control. `scope` tells apart controls whose labels are equal.
 *
 * @param {string} label
 * @param {HTMLInputElement | HTMLSelectElement} control
 * @param {{ title?: string, scope?: string }} [options]
 */
export function makeField(label, control, { title = "", scope = "" } = {}) {
  control.id = idOf(scope + label);
  if (title) control.title = title;
  return make("div", { class: "field" }, make("label", { for: control.id }, label), control);
}

/** @param {string} label */
const idOf = (label) => `control-${label.replace(/\W+/g, "-")}`;

/**
 * A menu. A link may ask for a value that is not among the entries: it is shown as unknown.
 *
 * @param {Entry[]} entries
 * @param {string} selected
 * @param {(value: string) => void} onChange
 */
export function makeSelect(entries, selected, onChange) {
  const isKnown = entries.some(([value]) => value === selected);
  const select = make("select", {
    change: () => onChange(select.value),
    "aria-invalid": isKnown ? null : "true",
  });
  /** @type {Entry[]} */
  const shown = isKnown ? entries : [[selected, `${selected} (unknown)`], ...entries];
  const options = shown.map(([value, text]) => make("option", { value }, text));
  select.append(...options);
  select.value = selected;
  return select;
}

/**
 * A checkbox with its text.
 *
 * @param {string} text
 * @param {boolean} isChecked
 * @param {(isChecked: boolean) => void} onChange
 * @param {{ title?: string, scope?: string }} [options]
 */
export function makeCheckbox(text, isChecked, onChange, { title = "", scope = "" } = {}) {
  const box = make("input", {
    type: "checkbox",
    id: idOf(scope + text),
    change: () => onChange(box.checked),
  });
  box.checked = isChecked;
  return make("label", { class: "inline-field", title: title || null }, box, text);
}

/**
 * A button that runs a function.
 *
 * @param {string} text
 * @param {() => void} onClick
 */
export const makeButton = (text, onClick) =>
  make("button", { type: "button", click: onClick }, text);
