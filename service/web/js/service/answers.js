// Answers about the image that is shown: what was asked before costs nothing.
import { likeliestLabels, relevanceOf } from "./requests.js";

const MAX_KEPT = 64;
const AT_ONCE = 4; // a page shall not fill the queue
let kept = { image: null, answers: new Map() };

/** Ask for relevance, unless the answer is there. */
export const answerTo = (asked, options, signal) =>
  remember(asked, JSON.stringify(options), () => relevanceOf(asked, options, signal));

/** The `n` classes that a model finds likeliest, the first one first. */
export const likeliest = (asked, model, n, signal) =>
  remember(asked, `${n} by ${model}`, () => likeliestLabels(asked, model, n, signal));

async function remember(asked, key, ask) {
  if (kept.image !== asked || kept.answers.size > MAX_KEPT)
    kept = { image: asked, answers: new Map() };
  const { answers } = kept;
  if (!answers.has(key)) answers.set(key, await ask());
  return answers.get(key);
}

/** Do something for each item, a few at a time. */
export function several(items, work) {
  const rest = [...items.entries()];
  return Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (rest.length) await work(...rest.shift().reverse());
    }),
  );
}
