import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { SNIPPETS } from "../../../../service/web/js/views/snippets.js";

const REQUEST = {
  service: "http://127.0.0.1:8000/",
  options: { model: "minivgg", target: "label:a b", contrast: "", epsilon: 0.5, zero_bias: true },
  file: "photo.jpg",
  sample: null,
  hasKey: false,
};
const KEY = "LRPSERVE_API_KEY";

test("a key is named where one is needed, and only there", () => {
  for (const [language, write] of Object.entries(SNIPPETS)) {
    assert.ok(!write(REQUEST).includes(KEY), language);
    assert.ok(write({ ...REQUEST, hasKey: true }).includes(KEY), language);
  }
});

test("a sample is read from the service, an own image from its file", () => {
  const sample = "http://127.0.0.1:8000/web/samples/cat.jpg";
  for (const [language, write] of Object.entries(SNIPPETS)) {
    assert.ok(write(REQUEST).includes("photo.jpg"), language);
    const code = write({ ...REQUEST, sample });
    assert.ok(code.includes(sample), language);
    assert.ok(!code.includes("photo.jpg"), language);
  }
});

test("the name of a file is one word of the shell command, whatever it contains", () => {
  const file = `it's a "$HOME" \`photo\`.jpg`;
  const command = SNIPPETS.curl({ ...REQUEST, file });
  const script = `curl() { printf '%s\\n' "$@"; }\n${command}`;
  const words = execFileSync("bash", ["-c", script], { encoding: "utf8" }).split("\n");
  assert.ok(words.includes(`@${file}`));
  const query = "model=minivgg&target=label%3Aa+b&epsilon=0.5&zero_bias=true";
  const url = `http://127.0.0.1:8000/explain?${query}&output=heatmap%2Crelevance`;
  assert.ok(words.includes(url));
});

test("Python has the options as its own literals", () => {
  const call = 'image, model="minivgg", target="label:a b", epsilon=0.5, zero_bias=True';
  assert.ok(SNIPPETS.Python(REQUEST).includes(`client.explain(${call})`));
});
