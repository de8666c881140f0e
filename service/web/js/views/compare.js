// The view of several explanations of one image, on one scale.
import { answerTo, likeliest, several } from "../service/answers.js";
import { tableOf } from "../map/colors.js";
import * as columns from "../method/columns.js";
import { colormap, isSmooth, model } from "../method/controls.js";
import { choice, find, make, percent, renew, short, toggle } from "../page/dom.js";
import { image } from "../page/image.js";
import { boundOf, makeMap, makeScale } from "../map/map.js";
import { parameterField } from "../method/parameters.js";
import { contrastText, explainOptions, question } from "../method/question.js";
import * as state from "../page/state.js";
import { failed, watched } from "../page/status.js";

const FIRST_CLASSES = 3;
const MAX_AT_ONCE = 30; // columns that one click adds
const LIKELIEST = 10; // instead, where there are more classes
const WEAK = 0.1; // of the common scale: with less a map is nearly blank
const opened = new Set(); // the places of columns whose parameters are shown

/** Show the columns, each as its answer comes. */
export async function show(signal) {
  const [asked, table] = [image(), await tableOf(colormap())];
  const predicted = await likeliest(
    asked,
    state.get("model"),
    Math.min(FIRST_CLASSES, model().labels.length),
    signal,
  );
  if (signal.aborted) return;
  const names = columns.shown(predicted);
  const answers = names.map(() => null);
  const redraw = () => signal.aborted || draw(names, answers, table, predicted[0]);
  redraw();
  // all methods explain the class that the network predicts, unless another one is asked for
  const target = state.get("target") || `label:${predicted[0]}`;
  const load = async (name, i) => {
    const again = () => {
      answers[i] = null;
      redraw();
      load(name, i);
    };
    answers[i] = await answerOf(asked, name, target, signal).catch(failure(again));
    redraw();
  };
  await several(names, load);
}

const answerOf = (asked, column, target, signal) =>
  answerTo(asked, columns.optionsOf(column, { ...explainOptions(), target }), signal);

/** What is wrong with a column stands in it: the others do not suffer from it. */
const failure = (again) => (error) => {
  if (error.name === "AbortError") throw error;
  return { error, again };
};

/** What is wrong with every column in the same way: it is in the question, and said once. */
function commonFailure(answers) {
  const messages = new Set(answers.map((answer) => answer?.error?.message));
  return answers.length > 1 && messages.size === 1 ? answers[0]?.error : null;
}

function draw(names, answers, table, predicted) {
  const wrong = commonFailure(answers);
  const isOwn = Boolean(state.get("own_scale"));
  const there = answers.filter((answer) => answer && !answer.error);
  const common = Math.max(...there.map(boundOf), 0);
  const weak = isOwn ? 0 : there.filter((answer) => boundOf(answer) < WEAK * common).length;
  renew(
    find("#view"),
    make(
      "div",
      { class: "card" },
      make("h2", {}, heading(there)),
      columns.isByClass() ? null : question({ predicted }),
      chooser(names),
      wrong ? failed(wrong, () => answers.forEach(({ again }) => again())) : null,
      isOwn || !there.length ? null : makeScale(table, common),
      weak
        ? make(
            "p",
            { class: "quiet", id: "weak" },
            `${weak} of ${there.length} are too weak to be seen on this scale.`,
          )
        : null,
      make(
        "div",
        { class: "columns", id: "columns" },
        ...names.map((_, i) =>
          column(names, i, wrong ? { wrong } : answers[i], table, isOwn ? null : common),
        ),
      ),
    ),
  );
}

function heading([first]) {
  if (columns.isByClass()) return "One image, several classes";
  return `One image, several methods${first ? `: “${first.target.label}”${contrastText(first)}` : ""}`;
}

function chooser(names) {
  const every = columns.possible();
  const others = every.filter(([value]) => !names.includes(value));
  const add = choice([["", "Add …"], ...others], "", (name) => columns.show([...names, name]));
  add.setAttribute("aria-label", "Add a column");
  const by = choice(
    [
      ["", "methods"],
      ["classes", "classes"],
    ],
    state.get("by"),
    (value) => state.update({ by: value, columns: null }),
  );
  by.setAttribute("aria-label", "Compare");
  return make(
    "div",
    { class: "row" },
    "Compare",
    by,
    others.length ? add : null,
    every.length <= MAX_AT_ONCE
      ? make(
          "button",
          { type: "button", click: () => columns.show(every.map(([value]) => value)) },
          "All",
        )
      : null,
    every.length > MAX_AT_ONCE && columns.isByClass()
      ? make("button", { type: "button", click: showLikeliest }, `The ${LIKELIEST} likeliest`)
      : null,
    toggle("Each on a scale of its own", Boolean(state.get("own_scale")), (isOn) =>
      state.update({ own_scale: isOn ? 1 : null }),
    ),
  );
}

async function showLikeliest() {
  const asked = image();
  const labels = await watched(
    () => likeliest(asked, state.get("model"), LIKELIEST),
    showLikeliest,
  );
  if (labels && asked === image()) columns.show(labels);
}

function column(names, i, answer, table, common) {
  const name = columns.titleOf(names[i]);
  const without = names.filter((_, j) => j !== i);
  return make(
    "article",
    { class: "column" },
    make(
      "div",
      { class: "head" },
      make("h3", {}, name),
      make(
        "button",
        { type: "button", "aria-label": `Remove ${name}`, click: () => remove(without) },
        "×",
      ),
    ),
    ...content(name, answer, table, common),
    settings(names, i),
  );
}

function content(name, answer, table, common) {
  if (!answer) return [make("div", { class: "map", "aria-busy": "true" })];
  if (answer.wrong) return [];
  if (answer.error) return [failed(answer.error, answer.again)];
  const readout = make("p", { class: "readout quiet" });
  const view = {
    table,
    bound: common ?? boundOf(answer),
    opacity: 1,
    isAlone: true,
    isSmooth: isSmooth(),
  };
  return [
    makeMap({ found: answer, view, label: `Relevance by ${name}`, readout }),
    common === null ? makeScale(table, boundOf(answer)) : null,
    make(
      "p",
      { class: "quiet" },
      `${took(answer)} · ${conserved(answer)} · largest ${short(boundOf(answer))}`,
    ),
    readout,
  ];
}

/** The parameters of a column, which may differ from those of its neighbours. */
function settings(names, i) {
  const found = columns.parametersOf(names[i]);
  if (!found.length) return null;
  const change = (name) => (value) =>
    columns.show(names.with(i, columns.withParameter(names[i], name, value)));
  const box = make(
    "details",
    { open: opened.has(i) },
    make("summary", {}, "Parameters"),
    ...found.map(({ parameter, value }) =>
      parameterField(parameter, value, change(parameter.name), `${i}-`),
    ),
  );
  box.addEventListener("toggle", () => (box.open ? opened.add(i) : opened.delete(i)));
  return box;
}

function remove(left) {
  opened.clear(); // places have moved
  columns.show(left);
}

const took = ({ computeMs }) => (computeMs === null ? "from the cache" : `${short(computeMs)} ms`);
const conserved = ({ conservation: { ratio } }) =>
  ratio === null ? "not conserving" : `${percent(ratio)} conserved`;
