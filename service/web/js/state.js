// What the page shows, kept in its address: a link reproduces the view.
const listeners = [];
let values = read();

function read() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** A value of the address, or what it is by default. */
export const get = (name, fallback = "") => values[name] ?? fallback;

export const all = () => ({ ...values });

/** Change values; null takes one out. `isSmall` changes leave no entry in the history. */
export function update(changes, { isSmall = false } = {}) {
  const next = { ...values };
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") delete next[name];
    else next[name] = String(value);
  }
  const query = new URLSearchParams(next).toString();
  if (query === new URLSearchParams(values).toString()) return;
  values = next;
  history[isSmall ? "replaceState" : "pushState"](null, "", query ? `?${query}` : location.pathname);
  for (const listener of listeners) listener(Object.keys(changes));
}

/** Call a function with the names of what has changed. */
export const onChange = (listener) => listeners.push(listener);

addEventListener("popstate", () => {
  const names = Object.keys({ ...values, ...read() });
  values = read();
  for (const listener of listeners) listener(names);
});
