// Requests to the service, repeated where it is busy; what it refuses is thrown as a Problem.
import { askForKey, clear, isCancelled, showWaiting } from "../page/status.js";
import { explanationOf, gridOf } from "./relevance.js";
import { pauseMs } from "./retry.js";

/**
 * @import { EvidenceResponse, ExplainResponse, Grid, LayersResponse, ModelList, Options,
 *   PredictResponse, ProblemDetails } from "./types.d.ts"
 */
/** @typedef {RequestInit & { headers?: Record<string, string> }} Request */
/** @typedef {{ blob: Blob }} Sendable */

const BINARY = { "Content-Type": "application/octet-stream" };
const KEY = "api-key"; // in the session's storage

/** The visitor's API key, where one was needed. */
const apiKey = () => sessionStorage.getItem(KEY);

export const hasKey = () => Boolean(apiKey());

/** An error of the service; its message says what to do. */
export class Problem extends Error {
  /** @param {ProblemDetails} details */
  constructor({ type = "about:blank", title, detail, status }) {
    super(detail || title);
    this.type = type;
    this.title = title;
    this.status = status;
  }
}

/**
 * Send a request until the service accepts or refuses it.
 *
 * @param {string} path
 * @param {Request} [request]
 * @returns {Promise<Response>}
 * @throws {Problem} what the service refused, or that it cannot be reached
 */
export async function send(path, request = {}) {
  let waitedMs = 0;
  for (let nTries = 1; ; nTries += 1) {
    const response = await trySend(path, request);
    if (response?.ok) {
      clear("waiting");
      return response;
    }
    const problem = response ? await problemIn(response) : null;
    if (problem?.status === 401) sessionStorage.setItem(KEY, await askForKey(problem.message));
    else {
      const retryAfter = response?.headers.get("Retry-After");
      const ms = pauseMs(problem?.type, retryAfter, nTries, waitedMs);
      await waitForRetry(problem, ms, request.signal);
      waitedMs += ms ?? 0;
    }
  }
}

/**
 * Wait until a request that failed may be sent again.
 *
 * @param {Problem | null} problem - null where there is no connection
 * @param {number | null} ms - null where it is not sent again
 * @param {AbortSignal | null} [signal]
 * @throws {Problem} where it is not sent again
 */
async function waitForRetry(problem, ms, signal) {
  if (ms === null) {
    clear("waiting");
    throw problem ?? new Problem({ title: "The service cannot be reached; is it running?" });
  }
  await wait(ms, problem?.message ?? "The connection failed", signal);
}

/**
 * Send a request once; null where there is no connection.
 *
 * @param {string} path
 * @param {Request} request
 */
async function trySend(path, request) {
  const key = apiKey();
  const headers = { ...request.headers, ...(key && { "X-API-Key": key }) };
  try {
    return await fetch(path, { ...request, headers });
  } catch (error) {
    if (isCancelled(error)) throw error;
    return null;
  }
}

/** @param {Response} response */
async function problemIn(response) {
  const { status } = response;
  try {
    return new Problem({ ...(await response.json()), status });
  } catch (error) {
    if (isCancelled(error)) throw error;
    return new Problem({ title: `The response cannot be read (status ${status})`, status });
  }
}

/**
 * Wait before the next try; the status line says why.
 *
 * @param {number} ms
 * @param {string} reason
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<void>}
 */
function wait(ms, reason, signal) {
  signal?.throwIfAborted();
  showWaiting("waiting", `${reason}. Trying again in ${Math.ceil(ms / 1000)} s …`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    const cancel = () => {
      clearTimeout(timer);
      clear("waiting");
      reject(new DOMException("cancelled", "AbortError"));
    };
    signal?.addEventListener("abort", cancel, { once: true });
  });
}

/**
 * Read the body of a response.
 *
 * @template Body
 * @param {() => Promise<Body>} read
 */
async function readBody(read) {
  try {
    return await read();
  } catch (error) {
    if (isCancelled(error)) throw error;
    throw new Problem({ title: "The response was cut off: the connection may be unstable" });
  }
}

/**
 * A file of the service.
 *
 * @param {string} path
 */
export async function fetchFile(path) {
  const response = await send(path);
  return readBody(() => response.blob());
}

/** @returns {Promise<ModelList>} */
export async function fetchModels() {
  const response = await send("models");
  return readBody(() => response.json());
}

/**
 * Fail, in the service's words, where it has no model of this name.
 *
 * @param {string} name
 * @param {AbortSignal} signal
 */
export const checkModel = (name, signal) => send(`models/${encodeURIComponent(name)}`, { signal });

/**
 * The options that are set, by name.
 *
 * @param {Options} options
 */
export const givenOptions = (options) =>
  Object.entries(options).filter(([, value]) => value !== undefined && value !== "");

/**
 * The query of a request.
 *
 * @param {Options} options
 */
export const queryOf = (options) =>
  new URLSearchParams(givenOptions(options).map(([name, value]) => [name, String(value)]));

/**
 * @param {Sendable} image
 * @param {Options} options
 * @param {{ accept?: string, signal?: AbortSignal }} [request]
 */
const explain = (image, options, { accept = "application/json", signal } = {}) =>
  send(`explain?${queryOf(options)}`, {
    method: "POST",
    body: image.blob,
    headers: { ...BINARY, Accept: accept },
    signal,
  });

/**
 * An explanation as a file.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {string} accept - the media type
 */
export async function fetchExplanationFile(image, options, accept) {
  const response = await explain(image, options, { accept });
  return readBody(() => response.blob());
}

/** @type {(response: { model: string, model_sha256: string }) => void} */
let notice = () => {};

/** @param {typeof notice} callback - called with each explanation that the service sends */
export const onExplanation = (callback) => {
  notice = callback;
};

/**
 * An explanation with its relevance.
 *
 * @param {Sendable} image
 * @param {Options} options - `output` names the relevance, if it names anything
 * @param {AbortSignal} signal
 */
export async function fetchExplanation(image, options, signal) {
  const { output = "relevance", ...others } = options;
  const response = await explain(image, { ...others, output }, { signal });
  /** @type {ExplainResponse} */
  const body = await readBody(() => response.json());
  notice(body);
  return explanationOf(body, response.headers.get("Server-Timing"));
}

/**
 * Whether an explanation is right about the image.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 */
export async function fetchEvidence(image, options, signal) {
  const response = await explain(image, { ...options, output: "evidence" }, { signal });
  /** @type {EvidenceResponse} */
  const body = await readBody(() => response.json());
  notice(body);
  return body.evidence;
}

/**
 * The relevance at all layers, by their names.
 *
 * @param {Sendable} image
 * @param {Options} options
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, Grid>>}
 */
export async function fetchLayers(image, options, signal) {
  const all = { ...options, layer: undefined, layers: "all", output: "relevance" };
  const response = await explain(image, all, { signal });
  /** @type {LayersResponse} */
  const body = await readBody(() => response.json());
  notice(body);
  return new Map(body.layers.map(({ layer, relevance }) => [layer, gridOf(relevance)]));
}

/**
 * The labels of the `n` most probable classes, the most probable one first.
 *
 * @param {Sendable} image
 * @param {string} model - "" for the default one
 * @param {number} n
 * @param {AbortSignal} [signal]
 */
export async function fetchTopLabels(image, model, n, signal) {
  const path = `predict?${queryOf({ model, top_k: n })}`;
  const response = await send(path, { method: "POST", body: image.blob, headers: BINARY, signal });
  /** @type {PredictResponse} */
  const { predictions } = await readBody(() => response.json());
  return predictions.map(({ label }) => label);
}
