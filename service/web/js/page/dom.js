/** Make an element: `make("p", { class: "quiet" }, "text", child)`. Functions become listeners. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...there(children));
  return element;
}

/** Those children that are there. */
export const there = (children) =>
  children.filter((child) => child !== null && child !== undefined);

export const find = (selector) => document.querySelector(selector);

/** A labelled control. */
export function field(label, control, text, place = "") {
  control.id = idOf(`${place}${label}`);
  if (text) control.title = text;
  return make("div", { class: "field" }, make("label", { for: control.id }, label), control);
}

const idOf = (label) => `control-${label.replace(/\W+/g, "-")}`;

/** A `select` of [value, text] pairs; a link may ask for what is not among them: it is shown as such. */
export function choice(entries, chosen, onChange) {
  const isKnown = entries.some(([value]) => value === chosen);
  const all = isKnown ? entries : [[chosen, `${chosen} (not known)`], ...entries];
  const select = make("select", {
    change: () => onChange(select.value),
    "aria-invalid": isKnown ? null : "true",
  });
  select.append(
    ...all.map(([value, text]) => {
      const option = make("option", { value }, text);
      option.selected = value === chosen;
      return option;
    }),
  );
  return select;
}

/** A checkbox with its text. */
export function toggle(text, isOn, onChange, place = "") {
  const box = make("input", {
    type: "checkbox",
    id: idOf(`${place}${text}`),
    change: () => onChange(box.checked),
  });
  box.checked = isOn;
  return make("label", { class: "switch" }, box, text);
}

/** Three significant digits, as people read them. */
export function short(number) {
  if (number === 0) return "0";
  const text =
    Math.abs(number) < 1e-3 || Math.abs(number) >= 1e5
      ? number.toExponential(2)
      : String(Number(number.toPrecision(3)));
  return text.replaceAll("-", "−");
}

export const percent = (share) =>
  `${(100 * share).toFixed(Math.abs(share) < 0.0995 ? 1 : 0).replace("-", "−")}%`;

/** Give a file away. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A share as a length that styles understand. */
export const length = (share) => `${100 * share}%`;

/** Put other content into a place; what has the focus keeps it, or hands it to what is around it. */
export function renew(place, ...children) {
  const focused = place.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  place.replaceChildren(...there(children));
  if (!focused) return;
  const kept = [...place.querySelectorAll("button, input, select, [tabindex]")].find(
    (one) => keyOf(one) === focused,
  );
  (kept ?? place.closest("[tabindex]"))?.focus({ preventScroll: true });
}

const keyOf = (element) => element.id || element.getAttribute("aria-label") || element.textContent;
