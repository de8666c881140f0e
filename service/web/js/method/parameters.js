// Controls of parameters, made from what `/models` says of them.
import { choice, field, toggle } from "../page/dom.js";

/** A control; `set` gets the new value, or null where it is the default. `place` tells equal names apart. */
export function parameterField(
  { name, kind, text, minimum, maximum, choices, default: normal },
  value,
  set,
  place = "",
) {
  const label = name.replaceAll("_", " ");
  const change = (given) => set([String(normal), ""].includes(String(given)) ? null : given);
  if (kind === "boolean") {
    const box = toggle(label, String(value) === "true", change, place);
    box.title = text;
    return box;
  }
  if (kind === "enum")
    return field(
      label,
      choice(
        choices.map((one) => [one, one]),
        value,
        change,
      ),
      text,
      place,
    );
  const input = document.createElement("input");
  Object.assign(input, {
    type: "number",
    min: minimum ?? "",
    max: maximum ?? "",
    step: kind === "integer" ? 1 : "any",
    value,
    placeholder: "automatic",
  });
  // the browser says what is allowed, before the service has to
  input.addEventListener("change", () => input.reportValidity() && change(input.value));
  return field(label, input, text, place);
}
