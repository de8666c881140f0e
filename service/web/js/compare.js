// The view of several explanations of one image, on one scale.
import { answerTo } from "./answers.js";
import { tableOf } from "./colors.js";
import * as columns from "./columns.js";
import { colormap, isSmooth } from "./controls.js";
import { choice, find, make, percent, renew, short, toggle } from "./dom.js";
import { explainOptions } from "./explain.js";
import { image } from "./image.js";
import { boundOf, makeMap, makeScale } from "./map.js";
import { parameterField } from "./parameters.js";
import * as state from "./state.js";

const opened = new Set(); // the places of columns whose parameters are shown

/** Show the columns. */
export async function show(signal) {
  const asked = image();
  const names = columns.shown();
  const target = await commonTarget(asked, names, signal);
  const answers = await Promise.all(names.map((name) => answerOf(asked, name, target, signal)));
  const table = await tableOf(colormap());
  if (!signal.aborted) draw(names, answers, table);
}

/** All methods explain the class that the network predicts, unless another one is asked for. */
async function commonTarget(asked, names, signal) {
  if (state.get("target") || columns.isByClass() || !names.length) return state.get("target");
  const answer = await answerOf(asked, names[0], "", signal);
  return `label:${answer.target.label}`;
}

const answerOf = (asked, column, target, signal) => answerTo(asked, columns.optionsOf(column, { ...explainOptions(), target }), signal);

function draw(names, answers, table) {
  const isOwn = Boolean(state.get("own_scale"));
  const common = Math.max(...answers.map(boundOf), 0);
  renew(find("#view"), make("div", { class: "card" },
    make("h2", {}, columns.isByClass() ? "One image, several classes" : `One image, several methods: ${answers[0] ? `“${answers[0].target.label}”` : ""}`),
    chooser(names),
    isOwn || !answers.length ? null : makeScale(table, common),
    make("div", { class: "columns", id: "columns" }, ...answers.map((answer, i) => column(names, i, answer, table, isOwn ? boundOf(answer) : common))),
  ));
}

function chooser(names) {
  const others = columns.possible().filter(([value]) => !names.includes(value));
  const add = choice([["", "Add …"], ...others], "", (name) => columns.show([...names, name]));
  add.setAttribute("aria-label", "Add a column");
  const by = choice([["", "methods"], ["classes", "classes"]], state.get("by"), (value) => state.update({ by: value, columns: null }));
  by.setAttribute("aria-label", "Compare");
  return make("div", { class: "row" }, "Compare", by, others.length ? add : null,
    make("button", { type: "button", click: () => columns.show(columns.possible().map(([value]) => value)) }, "All"),
    toggle("Each on a scale of its own", Boolean(state.get("own_scale")), (isOn) => state.update({ own_scale: isOn ? 1 : null })));
}

function column(names, i, answer, table, bound) {
  const readout = make("p", { class: "readout quiet" });
  const name = columns.titleOf(names[i]);
  const without = names.filter((_, j) => j !== i);
  return make("article", { class: "column" },
    make("div", { class: "head" }, make("h3", {}, name),
      make("button", { type: "button", "aria-label": `Remove ${name}`, click: () => remove(without) }, "×")),
    makeMap({ found: answer, view: { table, bound, opacity: 1, isAlone: true, isSmooth: isSmooth() }, label: `Relevance by ${name}`, readout }),
    make("p", { class: "quiet" }, `${short(answer.computeMs)} ms · ${conserved(answer)} · largest ${short(boundOf(answer))}`),
    readout,
    settings(names, i));
}

/** The parameters of a column, which may differ from those of its neighbours. */
function settings(names, i) {
  const found = columns.parametersOf(names[i]);
  if (!found.length) return null;
  const change = (name) => (value) => columns.show(names.with(i, columns.withParameter(names[i], name, value)));
  const box = make("details", { open: opened.has(i) }, make("summary", {}, "Parameters"),
    ...found.map(({ parameter, value }) => parameterField(parameter, value, change(parameter.name), `${i}-`)));
  box.addEventListener("toggle", () => (box.open ? opened.add(i) : opened.delete(i)));
  return box;
}

function remove(left) {
  opened.clear(); // places have moved
  columns.show(left);
}

const conserved = ({ conservation: { ratio } }) => (ratio === null ? "not conserving" : `${percent(ratio)} conserved`);
