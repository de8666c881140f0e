// Whether a map is right about its image: asked for by a button, as it takes many passes.
import { contrastText } from "../method/label.js";
import { attributor } from "../method/models.js";
import { explainOptions } from "../method/question.js";
import { make } from "../page/dom.js";
import { makeButton } from "../page/fields.js";
import * as state from "../page/state.js";
import { isCancelled, problemOf } from "../page/status.js";
import { getEvidence } from "../service/answers.js";
import { deletionChart } from "./deletion.js";

/** @import { RequestError } from "../page/status.js" */
/** @import { Sendable } from "../service/requests.js" */
/** @import { Explanation, ExplanationEvidence } from "../service/types.d.ts" */

const HEADINGS = {
  supported: "✓ The evidence supports this map",
  "not supported": "✗ The evidence does not support this map",
  undecided: "? The evidence is undecided",
};
const WITHOUT = "occlusion"; // hides parts itself: the service has no evidence about it

/**
 * What a panel is about.
 *
 * @typedef {object} Question
 * @property {Sendable} image
 * @property {AbortSignal} signal
 * @property {string} subject - what is explained, in words
 */

/**
 * The button, and the evidence where the address asks for it.
 *
 * @param {Explanation} explanation
 * @param {Sendable} image
 * @param {AbortSignal} signal
 */
export function evidencePanel(explanation, image, signal) {
  if (attributor().name === WITHOUT) return null;
  const isShown = Boolean(state.get("evidence"));
  const button = makeButton("Is this map right?", () =>
    state.update({ evidence: isShown ? null : 1 }),
  );
  button.setAttribute("aria-expanded", String(isShown));
  const panel = make("section", { id: "evidence", "aria-label": "Evidence" }, button);
  if (!isShown) return panel;
  const content = make("div", { "aria-live": "polite", "aria-busy": "true" });
  panel.append(content);
  const subject = `“${explanation.target.label}”${contrastText(explanation)}`;
  load(content, { image, signal, subject });
  return panel;
}

/**
 * Load the evidence; a problem stands in its place, as the map is right there all the same.
 *
 * @param {HTMLElement} content
 * @param {Question} question
 */
async function load(content, question) {
  const { image, signal, subject } = question;
  const waiting = "Hiding parts of the image, and watching the score …";
  const spinner = make("span", { class: "spinner" });
  content.replaceChildren(make("p", { class: "waiting" }, spinner, waiting));
  try {
    const evidence = await getEvidence(image, explainOptions(), signal);
    if (!signal.aborted) content.replaceChildren(...contentOf(evidence, subject));
  } catch (error) {
    if (isCancelled(error)) return;
    const retry = () => load(content, question);
    content.replaceChildren(problemOf(/** @type {RequestError} */ (error), retry));
  }
  content.removeAttribute("aria-busy");
}

/**
 * @param {ExplanationEvidence} evidence
 * @param {string} subject
 */
const contentOf = (evidence, subject) => [
  make("h3", { "data-verdict": evidence.verdict }, HEADINGS[evidence.verdict]),
  make("p", {}, evidence.text),
  deletionChart(evidence.deletion, subject),
  make("p", { class: "quiet" }, stabilityText(evidence.stability)),
];

/** @param {ExplanationEvidence["stability"]} stability */
export function stabilityText({ copies, mean, std }) {
  if (mean === null || std === null) return "The map is the same everywhere, whatever the noise.";
  return (
    `In slight noise the map stays: a correlation of ${mean.toFixed(2)} ± ${std.toFixed(2)} ` +
    `with the maps of ${copies} noisy copies (1: the same).`
  );
}
