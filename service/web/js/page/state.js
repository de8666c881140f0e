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
  const names = replace(next);
  if (!names.length) return;
  const query = new URLSearchParams(next).toString();
  history[isSmall ? "replaceState" : "pushState"](
    null,
    "",
    query ? `?${query}` : location.pathname,
  );
  tell(names);
}

/** Call a function with the names of what has changed. */
export const onChange = (listener) => listeners.push(listener);

addEventListener("popstate", () => tell(replace(read())));

/** Take other values; gives the names of those that differ. */
function replace(next) {
  const names = Object.keys({ ...values, ...next }).filter((name) => values[name] !== next[name]);
  values = next;
  return names;
}

function tell(names) {
  for (const listener of listeners) listener(names);
}
