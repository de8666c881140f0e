// Controls of parameters, made from what `/models` says of them.
import { make } from "../page/dom.js";
import { makeCheckbox, makeField, makeSelect } from "../page/fields.js";
import { words } from "../page/numbers.js";

/** @import { Entry } from "../page/fields.js" */
/** @import { Parameter } from "../service/types.d.ts" */

/**
 * The control of a parameter.
 *
 * @param {Parameter} parameter
 * @param {string} value
 * @param {(value: string | null) => void} onChange - null where it is the default
 * @param {string} [scope] - tells apart parameters of the same name
 */
export function parameterControl(parameter, value, onChange, scope = "") {
  const { name, kind, text: title, choices, automatic } = parameter;
  const label = words(name);
  /** @param {string} given */
  const change = (given) => onChange(isDefault(parameter, given) ? null : given);
  if (kind === "boolean") {
    const changeBox = (/** @type {boolean} */ isOn) => change(String(isOn));
    return makeCheckbox(label, value === "true", changeBox, { title, scope });
  }
  if (kind === "enum") {
    /** @type {Entry[]} */
    const named = choices.map((choice) => [choice, words(choice)]);
    /** @type {Entry[]} */
    const entries = automatic ? [["", automatic], ...named] : named;
    return makeField(label, makeSelect(entries, value, change), { title, scope });
  }
  return makeField(label, numberInput(parameter, value, change), { title, scope });
}

/**
 * @param {Pick<Parameter, "default">} parameter
 * @param {string} value - "" is the default too
 */
export const isDefault = (parameter, value) => ["", String(parameter.default)].includes(value);

/**
 * A value of the address as JSON has it. What is no number stays as it is: the service says so.
 *
 * @param {Pick<Parameter, "kind">} parameter
 * @param {string} text
 */
export function typedValue({ kind }, text) {
  if (kind === "boolean" && ["true", "false"].includes(text)) return text === "true";
  const isNumber =
    ["number", "integer"].includes(kind) && text !== "" && !Number.isNaN(Number(text));
  return isNumber ? Number(text) : text;
}

/**
 * @param {Parameter} parameter
 * @param {string} value
 * @param {(value: string) => void} onChange
 */
function numberInput({ kind, minimum, maximum }, value, onChange) {
  const input = make("input", {
    type: "number",
    min: minimum,
    max: maximum,
    step: kind === "integer" ? 1 : "any",
    value,
    placeholder: "automatic",
  });
  // the browser says what is allowed, before the service has to
  input.addEventListener("change", () => {
    if (input.reportValidity()) onChange(input.value);
  });
  return input;
}
