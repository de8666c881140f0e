// When a request is repeated: where the service is busy, starting or away.

// docs/reference/errors.md lists them
const RETRIED = [
  "bodies-full",
  "not-ready",
  "overloaded",
  "queue-full",
  "rate-limit-unavailable",
  "rate-limited",
];
const PREFIX = "urn:lrpserve:problem:";
const MAX_TRIES = 120;
const MAX_WAIT_MS = 120_000; // of all pauses together: a service that starts takes less
const FIRST_PAUSE_MS = 250;
const MAX_BACKOFF_MS = 2000;

/**
 * The pause before a request that failed is sent again; null where it is not.
 *
 * At least as long as the service says, and twice as long each time, up to two seconds.
 *
 * @param {string | undefined} type - of the problem; undefined where there was no connection
 * @param {string | null | undefined} retryAfter - the header, in seconds
 * @param {number} nTries - so far
 * @param {number} waitedMs - so far
 * @returns {number | null}
 */
export function pauseMs(type, retryAfter, nTries, waitedMs) {
  if (type !== undefined && !isRetried(type)) return null;
  const backoffMs = Math.min(FIRST_PAUSE_MS * 2 ** (nTries - 1), MAX_BACKOFF_MS);
  const ms = Math.max(1000 * Number(retryAfter) || 0, backoffMs);
  return nTries < MAX_TRIES && waitedMs + ms <= MAX_WAIT_MS ? ms : null;
}

/** @param {string} type */
const isRetried = (type) => RETRIED.some((name) => type === `${PREFIX}${name}`);
