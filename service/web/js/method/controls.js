// The controls of a method, made from what `/models` says there is.
import { contentOf, send } from "../service/requests.js";
import { choice, field, find, make, renew, toggle } from "../page/dom.js";
import { parameterField } from "./parameters.js";
import * as state from "../page/state.js";

let models = [];

/** Ask what there is; gives what an image may have. */
export async function load() {
  const found = await contentOf(await send("models"));
  models = found.models;
  return found.limits;
}

/** The model that is asked. */
export const model = () =>
  models.find(({ name }) => name === state.get("model")) ?? models.find((one) => one.default);

export const isModelKnown = () => asked("model", model()) === model().name;
export const attributor = () => named(model().attributors, state.get("attributor", "gradient"));
export const isSmooth = () => Boolean(state.get("smooth"));
export const colormap = () => named(model().colormaps, state.get("cmap", "bwr"));

/** The name that a link asks for, whether there is such a thing or not. */
const asked = (kind, found) => state.get(kind, found.name);

const named = (entries, name) => entries.find((entry) => entry.name === name) ?? entries[0];

/** The composites, those that the model's bundle brings among them. */
export const composites = () => [
  ...model().composites,
  ...Object.keys(model().own_composites).map((name) => ({
    name,
    text: "Rules that the model brings",
    parameters: [],
  })),
];

/** The composite, where the attributor goes with one. */
export function composite() {
  return attributor().is_modified ? named(composites(), state.get("composite")) : null;
}

/** Every parameter that the method has. */
export const parameters = () => [...(composite()?.parameters ?? []), ...attributor().parameters];

/** The options of the method, as a request has them: what is as it is by default is left out. */
export function methodOptions() {
  const set = parameters().map(({ name }) => [name, state.get(name)]);
  return {
    model: state.get("model"),
    attributor: state.get("attributor"),
    composite: composite() ? state.get("composite") : "",
    ...Object.fromEntries(set),
  };
}

/** Draw the controls anew; those of the method only where the view has one. */
export function draw({ hasMethod, hasColors }) {
  const entries = (found) => found.map(({ name, text }) => [name, `${name}: ${text}`]);
  const several = models.length > 1 || !isModelKnown();
  find("#controls").hidden = !several && !hasColors;
  renew(
    find("#controls"),
    make("h2", {}, hasMethod ? "Method" : hasColors ? "Looks" : "Model"),
    several
      ? field(
          "Model",
          choice(
            models.map(({ name }) => [name, name]),
            asked("model", model()),
            (name) =>
              reset({
                model: name,
                composite: null,
                attributor: null,
                target: null,
                contrast: null,
                columns: null,
              }),
          ),
        )
      : null,
    ...(hasMethod ? methodFields() : []),
    hasColors
      ? field(
          "Colours",
          choice(entries(model().colormaps), asked("cmap", colormap()), (name) =>
            state.update({ cmap: name }),
          ),
        )
      : null,
    hasColors
      ? toggle("Smooth", isSmooth(), (isOn) => state.update({ smooth: isOn ? 1 : null }))
      : null,
  );
}

function methodFields() {
  const entries = (found) => found.map(({ name }) => [name, name.replaceAll("_", " ")]);
  const [chosen, ways] = [composite(), model().attributors];
  const [kind, method] = chosen ? ["composite", chosen] : ["attributor", attributor()];
  return [
    field(
      "Attributor",
      choice(entries(ways), asked("attributor", attributor()), (name) =>
        reset({ attributor: name === ways[0].name ? null : name, composite: null }),
      ),
    ),
    chosen
      ? field(
          "Composite",
          choice(entries(composites()), asked("composite", chosen), (name) =>
            reset({ composite: name }),
          ),
        )
      : null,
    asked(kind, method) === method.name ? make("p", { class: "quiet" }, method.text) : null,
    ...parameters().map((one) =>
      parameterField(one, state.get(one.name, one.default ?? ""), (value) =>
        state.update({ [one.name]: value }),
      ),
    ),
  ];
}

/** Another method has other parameters. */
function reset(changes) {
  const own = parameters().map(({ name }) => [name, null]);
  state.update({ ...Object.fromEntries(own), ...changes });
}
