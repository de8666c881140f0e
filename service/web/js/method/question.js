// The question of an explanation: a class, and what it is explained against.
import { methodOptions, model } from "./controls.js";
import { choice, field, make } from "../page/dom.js";
import * as state from "../page/state.js";

/** The options of the explanation that the address asks for. */
export const explainOptions = () => ({
  ...methodOptions(),
  target: state.get("target"),
  contrast: state.get("contrast"),
});

/** Ask about a class; the one that is predicted needs no name. Nothing is explained against itself. */
export const askFor = (label, isPredicted) =>
  state.update({
    target: isPredicted ? null : `label:${label}`,
    contrast: named("contrast") === label ? null : state.get("contrast"),
  });

/** The label of a class that the address names: by index, as a label, or marked as one. */
function named(option) {
  const text = state.get(option);
  return (/^\d+$/.test(text) && model().labels[text]) || text.replace(/^label:/, "");
}

/** The controls of it; `predicted` is what the network predicts, where it is known. */
export function question({ predicted, hasTarget = true } = {}) {
  const [chosen, contrast] = [named("target"), named("contrast")];
  const target = chosen || predicted;
  const entries = (first, labels) => [["", first], ...labels.map((label) => [label, label])];
  const others = model().labels.filter((label) => label !== target || label === contrast);
  return make(
    "div",
    { class: "row question" },
    hasTarget
      ? field(
          "Why",
          choice(entries("what it predicts", model().labels), chosen, (label) =>
            askFor(label || predicted, !label),
          ),
        )
      : null,
    field(
      "… rather than",
      choice(entries("nothing in particular", others), contrast, (label) =>
        state.update({ contrast: label && `label:${label}` }),
      ),
    ),
  );
}

/** What a class is explained against. */
export const contrastText = ({ method: { contrast } }) =>
  contrast ? ` rather than “${contrast}”` : "";
