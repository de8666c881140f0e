// The view of what arrives where: the relevance at each layer.
import { answerTo, several } from "../service/answers.js";
import { tableOf } from "../map/colors.js";
import { attributor, colormap, isSmooth, load, model } from "../method/controls.js";
import { find, length, make, renew, short } from "../page/dom.js";
import { image } from "../page/image.js";
import { boundOf, makeMap } from "../map/map.js";
import { contrastText, explainOptions, question } from "../method/question.js";
import { failed } from "../page/status.js";

/** Show the layers, from the image to the network's output. */
export async function show(signal) {
  if (!attributor().is_modified) {
    renew(
      find("#view"),
      make(
        "div",
        { class: "card" },
        make("h2", {}, "Relevance, layer by layer"),
        make(
          "p",
          {},
          `${attributor().name.replaceAll("_", " ")} explains the network as a whole: it has no relevance at its layers. Choose the attributor gradient.`,
        ),
      ),
    );
    return;
  }
  const asked = image();
  const first = await answerTo(asked, { ...explainOptions(), layer: "input" }, signal);
  if (!model().layers.length) await load(); // it was not loaded yet when it was asked what it has
  const table = await tableOf(colormap());
  if (signal.aborted) return;
  const names = [...new Set(model().layers.map(({ name }) => name))];
  const places = draw(names.reverse(), first);
  const complete = async (name) => {
    try {
      const answer = await answerTo(asked, { ...explainOptions(), layer: name }, signal);
      if (!signal.aborted) fill(places.get(name), name, answer, table);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      fail(places.get(name), name, error, () => complete(name));
    }
  };
  await several(names, complete);
}

/** A layer's name, which a line ends after a dot. */
const dotted = (name) => name.split(/(?<=\.)/).flatMap((part) => [part, make("wbr")]);

/** A layer whose map is not there yet. */
const coming = (name) => [
  make("h3", {}, ...dotted(name)),
  make("div", { class: "map", "aria-busy": "true" }),
];

/** What is wrong with a layer stands in its place: the others do not suffer from it. */
function fail(place, name, error, again) {
  const retry = () => {
    renew(place, ...coming(name));
    again();
  };
  renew(place, make("h3", {}, ...dotted(name)), failed(error, retry));
}

/** Draw all but the maps, which come one after the other; gives their places. */
function draw(names, first) {
  const {
    target,
    conservation,
    predictions: [predicted],
  } = first;
  const places = new Map(
    names.map((name) => [name, make("article", { class: "column" }, ...coming(name))]),
  );
  renew(
    find("#view"),
    make(
      "div",
      { class: "stack" },
      make(
        "div",
        { class: "card" },
        make("h2", {}, `How much of “${target.label}”${contrastText(first)} arrives`),
        question({ predicted: predicted.label }),
        flow(conservation),
      ),
      make(
        "div",
        { class: "card" },
        make("h2", {}, "Relevance, layer by layer"),
        make("p", { class: "quiet" }, "Summed over channels; each layer on a scale of its own."),
        make("div", { class: "columns small", id: "layers" }, ...places.values()),
      ),
    ),
  );
  return places;
}

function flow({ by_layer: byLayer, arrived }) {
  if (!byLayer)
    return make(
      "p",
      {},
      "This method does not conserve relevance: there is no amount that arrives.",
    );
  const layers = [...byLayer, { layer: "input", arrived }]
    .filter(({ layer: name }, i, all) => all.findIndex((one) => one.layer === name) === i)
    .reverse();
  const most = Math.max(...layers.map(({ arrived }) => Math.abs(arrived)));
  return make(
    "div",
    { class: "flow", id: "flow" },
    ...layers.map(({ layer: name, arrived: amount }) => {
      const bar = make("i", { class: amount < 0 ? "against" : "for" });
      bar.style.width = most ? length(Math.abs(amount) / most) : "0";
      return make(
        "div",
        {},
        make("span", {}, ...dotted(name)),
        bar,
        make("span", {}, short(amount)),
      );
    }),
  );
}

function fill(place, name, answer, table) {
  const readout = make("p", { class: "readout quiet" });
  const { kind, shape } = model().layers.find((one) => one.name === name);
  const bound = boundOf(answer);
  place.replaceChildren(
    make("h3", {}, ...dotted(name)),
    makeMap({
      found: answer,
      view: { table, bound, opacity: 1, isAlone: true, isSmooth: isSmooth() },
      label: `Relevance at ${name}`,
      readout,
    }),
    make("p", { class: "quiet" }, `${kind} · ${shape.join("×")} · largest ${short(bound)}`),
    readout,
  );
}
