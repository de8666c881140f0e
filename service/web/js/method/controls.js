// The controls of the method and of the colours, made from what `/models` says there is.
import { find, make, replaceContent } from "../page/dom.js";
import { makeField, makeSelect } from "../page/fields.js";
import { words } from "../page/numbers.js";
import * as state from "../page/state.js";
import {
  attributor,
  colormap,
  composite,
  composites,
  isModelKnown,
  model,
  modelNames,
  parameters,
  requestedName,
} from "./models.js";
import { parameterControl } from "./parameters.js";

/** @import { Changes } from "../page/address.js" */
/** @import { Entry } from "../page/fields.js" */

/** @type {Entry[]} */
const ENLARGE = [
  ["", "squares; smooth over the image"],
  ["nearest", "squares"],
  ["smooth", "smooth"],
];

/**
 * Draw the controls anew: those of the method and of the colours only where the view has them.
 *
 * @param {{ hasMethod: boolean, hasColors: boolean }} view
 */
export function drawControls({ hasMethod, hasColors }) {
  const hasModel = modelNames().length > 1 || !isModelKnown();
  const controls = find("#controls");
  controls.hidden = !hasModel && !hasColors;
  replaceContent(
    controls,
    make("h2", {}, titleOf(hasMethod, hasColors)),
    hasModel ? modelField() : null,
    ...(hasMethod ? methodFields() : []),
    ...(hasColors ? colorFields() : []),
  );
}

/**
 * @param {boolean} hasMethod
 * @param {boolean} hasColors
 */
function titleOf(hasMethod, hasColors) {
  if (hasMethod) return "Method";
  return hasColors ? "Appearance" : "Model";
}

/**
 * The entries of a menu of names.
 *
 * @param {{ name: string }[]} things
 * @returns {Entry[]}
 */
const entriesOf = (things) => things.map(({ name }) => [name, words(name)]);

function modelField() {
  const others = { composite: null, attributor: null, target: null, contrast: null, columns: null };
  /** @type {Entry[]} */
  const entries = modelNames().map((name) => [name, name]);
  const name = requestedName("model", model());
  const select = makeSelect(entries, name, (chosen) => changeMethod({ ...others, model: chosen }));
  return makeField("Model", select);
}

function methodFields() {
  const chosen = composite();
  const [option, method] = chosen ? ["composite", chosen] : ["attributor", attributor()];
  const isKnown = requestedName(option, method) === method.name;
  return [
    attributorField(),
    chosen ? compositeField(chosen) : null,
    isKnown ? make("p", { class: "quiet" }, method.text) : null,
    ...parameters().map((parameter) => {
      const value = state.get(parameter.name, String(parameter.default ?? ""));
      return parameterControl(parameter, value, (given) => {
        state.update({ [parameter.name]: given });
      });
    }),
  ];
}

function attributorField() {
  const { attributors } = model();
  const name = requestedName("attributor", attributor());
  const select = makeSelect(entriesOf(attributors), name, (chosen) => {
    // where the model has a default method of its own, no name would mean that one
    const isDefault = chosen === attributors[0].name && !model().default_method;
    changeMethod({ attributor: isDefault ? null : chosen, composite: null });
  });
  return makeField("Attributor", select);
}

/** @param {{ name: string }} chosen */
function compositeField(chosen) {
  const name = requestedName("composite", chosen);
  const change = (/** @type {string} */ composite) => changeMethod({ composite });
  return makeField("Composite", makeSelect(entriesOf(composites()), name, change));
}

function colorFields() {
  /** @type {Entry[]} */
  const entries = model().colormaps.map(({ name, text }) => [name, `${name}: ${text}`]);
  const name = requestedName("cmap", colormap());
  return [
    makeField(
      "Colours",
      makeSelect(entries, name, (cmap) => state.update({ cmap })),
    ),
    makeField(
      "Pixels",
      makeSelect(ENLARGE, state.get("enlarge"), (enlarge) => state.update({ enlarge })),
    ),
  ];
}

/**
 * Change the method: the parameters of the one before go.
 *
 * @param {Changes} changes
 */
function changeMethod(changes) {
  const own = parameters().map(({ name }) => [name, null]);
  state.update({ ...Object.fromEntries(own), ...changes });
}
