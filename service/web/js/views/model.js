// The view of the model: its card, as its bundle has it.
import { send } from "../service/requests.js";
import { confusion, curves } from "./charts.js";
import { isModelKnown, load, model } from "../method/controls.js";
import { find, make, renew } from "../page/dom.js";
import * as state from "../page/state.js";

const RETRY_MS = 500;

/** Show the card. */
export async function show(signal) {
  if (!isModelKnown()) await send(`models/${encodeURIComponent(state.get("model"))}`, { signal }); // the service says what there is
  while (!model().layers.length && !model().ready && !signal.aborted) {
    // the service is loading it
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    await load();
  }
  if (signal.aborted) return;
  const {
    name,
    architecture,
    accuracy,
    history,
    confusion: counts,
    labels,
    input_size: size,
    sha256,
    provenance,
    layers,
  } = model();
  renew(
    find("#view"),
    make(
      "div",
      { class: "pages" },
      make(
        "div",
        { class: "card" },
        make("h2", {}, name),
        table([
          ["Architecture", architecture],
          ...Object.entries(accuracy).map(([set, { accuracy: share, n }]) => [
            `Accuracy, ${set}`,
            `${(100 * share).toFixed(2)}% of ${n.toLocaleString("en")} images`,
          ]),
          ["Input", `${size.join(" × ")} pixels`],
          ["Classes", shorten(labels)],
          ["Weights (SHA-256)", sha256],
        ]),
      ),
      counts.test
        ? make(
            "div",
            { class: "card" },
            make("h2", {}, "What it takes for what"),
            make(
              "p",
              { class: "quiet" },
              "A row for each true class: how many of its test images were taken for which class.",
            ),
            confusion(labels, counts.test),
          )
        : null,
      history.length
        ? make("div", { class: "card" }, make("h2", {}, "How it was trained"), curves(history))
        : null,
      make("div", { class: "card" }, make("h2", {}, "Where it is from"), table(flat(provenance))),
      make(
        "div",
        { class: "card" },
        make("h2", {}, "Layers"),
        table(layers.map(({ name: layer, kind, shape }) => [layer, `${kind}, ${shape.join("×")}`])),
      ),
    ),
  );
}

const shorten = (labels) =>
  labels.length > 30 ? `${labels.slice(0, 30).join(", ")} … (${labels.length})` : labels.join(", ");

/** Nested fields as rows. */
function flat(fields, prefix = "") {
  return Object.entries(fields).flatMap(([name, value]) => {
    const title = `${prefix}${name.replaceAll("_", " ")}`;
    return value && typeof value === "object" && !Array.isArray(value)
      ? flat(value, `${title}: `)
      : [[title, String(value)]];
  });
}

function table(rows) {
  return make(
    "table",
    {},
    make(
      "tbody",
      {},
      ...rows.map(([name, value]) =>
        make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
      ),
    ),
  );
}
