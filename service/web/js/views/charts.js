// Charts of a model: the curves of its training, and what it takes for what.
import { make, percent, short } from "../page/dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [480, 220, 44, 28, 10];
const LINES = [
  { field: "training_loss", text: "training loss", style: "training" },
  { field: "validation_loss", text: "validation loss", style: "validation" },
  { field: "validation_accuracy", text: "validation accuracy", style: "accuracy" },
];

/** Curves over the epochs: losses and accuracy, all from 0. */
export function curves(history) {
  const most = Math.max(1, ...history.flatMap((one) => [one.training_loss, one.validation_loss]));
  const [first, last] = [history[0], history.at(-1)];
  const x = (epoch) =>
    LEFT + ((WIDTH - LEFT - 8) * (epoch - first.epoch)) / Math.max(1, last.epoch - first.epoch);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * value) / most;
  const ticks = [0, most / 2, most];
  return make(
    "figure",
    { id: "curves" },
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: "img",
        "aria-label": `Curves of ${history.length} epochs`,
      },
      ...ticks.map((tick) => svg("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${WIDTH - 8}` })),
      ...ticks.map((tick) =>
        svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, short(tick)),
      ),
      svg("text", { x: LEFT, y: HEIGHT - 8 }, `epoch ${first.epoch}`),
      svg("text", { x: WIDTH - 8, y: HEIGHT - 8, "text-anchor": "end" }, `${last.epoch}`),
      ...LINES.map(({ field, style }) =>
        svg("path", {
          class: `line ${style}`,
          d: `M${history.map((one) => `${x(one.epoch).toFixed(1)} ${y(one[field]).toFixed(1)}`).join("L")}`,
        }),
      ),
    ),
    make(
      "figcaption",
      {},
      ...LINES.map(({ field, text, style }) =>
        make(
          "span",
          { class: `key ${style}` },
          `${text} ${field === "validation_accuracy" ? percent(last[field]) : short(last[field])}`,
        ),
      ),
    ),
  );
}

function svg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The confusion matrix: a row for each true class, shaded by its share. */
export function confusion(labels, counts) {
  const heads = labels.map((label) => make("th", { scope: "col" }, make("span", {}, label)));
  return make(
    "div",
    { class: "wide", tabindex: 0, role: "region", "aria-label": "Confusion matrix" },
    make(
      "table",
      { class: "confusion", id: "confusion" },
      make("thead", {}, make("tr", {}, make("td"), ...heads)),
      make(
        "tbody",
        {},
        ...counts.map((row, i) =>
          make(
            "tr",
            {},
            make("th", { scope: "row" }, labels[i]),
            ...row.map((n, j) => cell(n, row, labels[i], labels[j])),
          ),
        ),
      ),
    ),
  );
}

function cell(n, row, truth, found) {
  const share =
    n /
    Math.max(
      1,
      row.reduce((sum, one) => sum + one, 0),
    );
  const place = make(
    "td",
    { title: `${truth} taken for ${found}: ${percent(share)}` },
    n ? String(n) : "·",
  );
  // no more than a third: text on it has to stay readable
  if (n)
    place.style.background = `color-mix(in srgb, var(--${truth === found ? "against" : "for"}) ${Math.round(33 * Math.sqrt(share))}%, transparent)`;
  return place;
}
