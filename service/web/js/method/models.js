// The models that the service has, and which of their methods the address names.
import { words } from "../page/numbers.js";
import * as state from "../page/state.js";
import { fetchModels } from "../service/requests.js";

/** @import { Composite, Limits, Model, Options, Parameter } from "../service/types.d.ts" */

/** @type {Model[]} */
let models = [];

/**
 * Load what the service has.
 *
 * @returns {Promise<Limits>} of an image
 */
export async function loadModels() {
  const list = await fetchModels();
  models = list.models;
  return list.limits;
}

/**
 * Whether an answer is of a model as it was listed.
 *
 * @param {{ model: string, model_sha256: string }} answer
 */
export const isAsListed = ({ model: name, model_sha256: sha256 }) =>
  models.some((entry) => entry.name === name && entry.sha256 === sha256);

export const hasModels = () => models.length > 0;
export const modelNames = () => models.map(({ name }) => name);

/**
 * The model of the address, or the default one.
 *
 * @returns {Model}
 */
export function model() {
  const byName = models.find(({ name }) => name === state.get("model"));
  return byName ?? models.find((entry) => entry.default) ?? models[0];
}

/**
 * The name in the address, whether there is such a thing or not.
 *
 * @param {string} option
 * @param {{ name: string }} effective - what is taken instead
 */
export const requestedName = (option, effective) => state.get(option, effective.name);

export const isModelKnown = () => requestedName("model", model()) === model().name;

/**
 * The entry of a name, or the first one.
 *
 * @template {{ name: string }} Entry
 * @param {Entry[]} entries
 * @param {string} name
 */
const byName = (entries, name) => entries.find((entry) => entry.name === name) ?? entries[0];

/**
 * The model's own default method, where the address names none; empty where it has none.
 *
 * @returns {{ composite?: string | null, attributor?: string | null }}
 */
const ownDefault = () =>
  state.get("composite") || state.get("attributor") ? {} : (model().default_method ?? {});

export const attributor = () => {
  const byDefault = ownDefault().attributor ?? "gradient";
  return byName(model().attributors, state.get("attributor", byDefault));
};
export const colormap = () => byName(model().colormaps, state.get("cmap", "bwr"));

/**
 * Whether pixels of a map are interpolated, rather than squares; by default those over an image
 * are, as in the service.
 */
export const isSmooth = (isOverlay = false) =>
  (state.get("enlarge") || (isOverlay ? "smooth" : "nearest")) === "smooth";

/**
 * The composites of the service and of the model's bundle; each has the start as a parameter.
 *
 * @returns {Composite[]}
 */
export function composites() {
  const text = "Rules from the model's bundle";
  const own = Object.keys(model().own_composites).map((name) => ({ name, text, parameters: [] }));
  /** @type {Composite[]} */
  const all = [...model().composites, ...own];
  return all.map((one) => ({ ...one, parameters: [...one.parameters, startParameter(one)] }));
}

/**
 * What relevance starts with at the network's output.
 *
 * @param {Composite} composite
 * @returns {Parameter}
 */
function startParameter({ start }) {
  const name = start ? `: ${words(start)}` : "";
  return {
    name: "start",
    kind: "enum",
    default: null,
    automatic: `default of the method${name}`,
    text: "What relevance starts with: the score of the class (logit), or 1 (one hot)",
    minimum: null,
    maximum: null,
    choices: ["logit", "one_hot"],
  };
}

/** The composite; null where the attributor goes with none. */
export const composite = () => {
  const name = state.get("composite", ownDefault().composite ?? "");
  return attributor().is_modified ? byName(composites(), name) : null;
};

/** Every parameter of the method. */
export const parameters = () => [...(composite()?.parameters ?? []), ...attributor().parameters];

/**
 * The options of the method, as a request has them; defaults are left out.
 *
 * @returns {Options}
 */
export const methodOptions = () => ({
  model: state.get("model"),
  attributor: state.get("attributor"),
  composite: composite() ? state.get("composite") : "",
  ...Object.fromEntries(parameters().map(({ name }) => [name, state.get(name)])),
});
