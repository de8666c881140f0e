// Requests to the service: patient where it asks for patience, and clear where it refuses.
import { ask, clear, tellWaiting } from "../page/status.js";

const MAX_TRIES = 30;
const MAX_WAIT_S = 30;
const BINARY = { "Content-Type": "application/octet-stream" };
let key = sessionStorage.getItem("api-key");

/** Whether a key is needed here. */
export const hasKey = () => Boolean(key);

/** What the service says is wrong; `detail` says what to do. */
export class Problem extends Error {
  constructor({ title, detail, status }) {
    super(detail || title);
    Object.assign(this, { title, status });
  }
}

/** Send a request until it has an answer; waits where the service is busy, starting or away. */
export async function send(path, { signal, ...options } = {}) {
  for (let n = 1; ; n += 1) {
    const answer = await once(path, signal, options);
    if (answer?.ok) {
      clear("waiting");
      return answer;
    }
    const problem = answer ? await problemOf(answer) : null;
    if (problem?.status === 401) {
      key = await ask(problem.message);
      sessionStorage.setItem("api-key", key);
    } else if (n >= MAX_TRIES || (problem && ![429, 503].includes(problem.status))) {
      clear("waiting");
      throw problem ?? new Problem({ title: "The service cannot be reached; is it running?" });
    } else {
      await wait(waitMs(answer, n), problem, signal);
    }
  }
}

async function once(path, signal, options) {
  const headers = { ...options.headers, ...(key && { "X-API-Key": key }) };
  try {
    return await fetch(path, { ...options, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return null; // no connection
  }
}

function waitMs(answer, n) {
  const asked = Number(answer?.headers.get("Retry-After"));
  return 1000 * Math.min(asked || 0.25 * 2 ** Math.min(n, 4), MAX_WAIT_S);
}

/** The content of an answer, as `json` or `blob`. */
export async function contentOf(answer, kind = "json") {
  try {
    return await answer[kind]();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The answer broke off on its way here: the connection may be bad" });
  }
}

/** A file of the service. */
export const fetchFile = async (path) => contentOf(await send(path), "blob");

async function problemOf(answer) {
  try {
    return new Problem(await answer.json());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return new Problem({
      title: `The answer cannot be read (status ${answer.status})`,
      status: answer.status,
    });
  }
}

function wait(ms, problem, signal) {
  signal?.throwIfAborted();
  const reason = problem ? problem.message : "The connection is broken";
  tellWaiting("waiting", `${reason}. Trying again in ${Math.ceil(ms / 1000)} s …`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        clear("waiting");
        reject(new DOMException("given up", "AbortError"));
      },
      { once: true },
    );
  });
}

/** The query of an explanation. */
export const query = (options) =>
  new URLSearchParams(
    Object.entries(options).filter(([, value]) => value !== undefined && value !== ""),
  );

/** Ask for an explanation; gives the answer itself. */
export function explain(image, options, { accept = "application/json", signal } = {}) {
  return send(`explain?${query(options)}`, {
    method: "POST",
    body: image.blob,
    headers: { ...BINARY, Accept: accept },
    signal,
  });
}

/** Ask for relevance: the fields of the answer, its numbers as floats, and the time it took. */
export async function relevanceOf(image, options, signal) {
  const answer = await explain(image, { ...options, output: "relevance" }, { signal });
  const fields = await contentOf(answer);
  const [, computeMs = null] =
    /compute;dur=([\d.]+)/.exec(answer.headers.get("Server-Timing") ?? "") ?? [];
  return { ...fields, ...floats(fields.relevance), computeMs: computeMs && Number(computeMs) }; // null: from the cache
}

/** Ask for the `n` classes that a model finds likeliest. */
export async function likeliestLabels(image, model, n, signal) {
  const path = `predict?${query({ model, top_k: n })}`;
  const answer = await send(path, { method: "POST", body: image.blob, headers: BINARY, signal });
  return (await contentOf(answer)).predictions.map(({ label }) => label);
}

function floats({ data, shape }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const [width, height] = [shape.at(-1), shape.at(-2) ?? 1];
  return { values: new Float32Array(bytes.buffer), width, height };
}
