// Answers about the image that is shown: what was asked before costs nothing.
import { relevanceOf } from "./api.js";

const MAX_KEPT = 64;
const kept = { image: null, answers: new Map() };

/** Ask for relevance, unless the answer is there. */
export async function answerTo(asked, options, signal) {
  if (kept.image !== asked) Object.assign(kept, { image: asked, answers: new Map() });
  if (kept.answers.size > MAX_KEPT) kept.answers.clear();
  const key = JSON.stringify(options);
  if (!kept.answers.has(key)) kept.answers.set(key, await relevanceOf(asked, options, signal));
  return kept.answers.get(key);
}
