// When a request is repeated: where the service is busy, starting or away.

export const MAX_TRIES = 120; // two minutes of a service that starts and asks for a second
const MAX_WAIT_S = 30;
const FIRST_WAIT_S = 0.25;
const RETRIED = [429, 503];

/**
 * Whether a request is repeated that has failed.
 *
 * @param {number | undefined} status - undefined where there was no connection
 * @param {number} nTries - so far
 */
export const isRetried = (status, nTries) =>
  nTries < MAX_TRIES && (status === undefined || RETRIED.includes(status));

/**
 * How long to wait before the next try: as the service says, else twice as long each time.
 *
 * @param {string | null | undefined} retryAfter - the header, in seconds
 * @param {number} nTries - so far
 */
export function waitMs(retryAfter, nTries) {
  const waitS = Number(retryAfter) || FIRST_WAIT_S * 2 ** Math.min(nTries, 4);
  return 1000 * Math.min(waitS, MAX_WAIT_S);
}
