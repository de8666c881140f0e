// Code that requests an explanation, and runs as it is pasted.

/**
 * @typedef {object} SnippetRequest
 * @property {string} url - with every option
 * @property {string} file - the name of the image's file
 * @property {string | null} sample - the address of the sample, which is used instead of the file
 * @property {boolean} hasKey - whether the service needs an API key
 */

/**
 * A word of a shell command.
 *
 * @param {string} text
 */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @type {Record<string, (request: SnippetRequest) => string>} */
export const SNIPPETS = {
  curl({ url, file, sample, hasKey }) {
    const download = sample ? `curl -sf ${quoted(sample)} |\n  ` : "";
    const body = sample ? "@-" : `@${file}`;
    const key = hasKey ? '-H "X-API-Key: $LRPSERVE_API_KEY" ' : "";
    return `${download}curl -s -H 'Content-Type: application/octet-stream' \\
  --data-binary ${quoted(body)} \\
  ${key}${quoted(url)}`;
  },

  Python({ url, file, sample, hasKey }) {
    const image = sample
      ? `urlopen(${JSON.stringify(sample)}).read()`
      : `open(${JSON.stringify(file)}, "rb").read()`;
    const key = hasKey ? ', "X-API-Key": os.environ["LRPSERVE_API_KEY"]' : "";
    return `import base64, json${hasKey ? ", os" : ""}
from urllib.request import Request, urlopen

import numpy as np

image = ${image}
url = ${JSON.stringify(url)}
headers = {"Content-Type": "application/octet-stream"${key}}
answer = json.load(urlopen(Request(url, data=image, headers=headers)))
relevance = answer["relevance"]
array = np.frombuffer(base64.b64decode(relevance["data"]), "<f4").reshape(relevance["shape"])
print(answer["target"]["label"], array.shape, array.sum())
`;
  },

  JavaScript({ url, file, sample, hasKey }) {
    const image = sample
      ? `const image = await (await fetch(${JSON.stringify(sample)})).blob();`
      : `import { openAsBlob } from "node:fs";
const image = await openAsBlob(${JSON.stringify(file)});`;
    const key = hasKey ? ', "X-API-Key": process.env.LRPSERVE_API_KEY' : "";
    return `${image}
const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/octet-stream"${key} },
  body: image,
});
const explanation = await response.json();
const bytes = Uint8Array.from(atob(explanation.relevance.data), (c) => c.charCodeAt(0));
const relevance = new Float32Array(bytes.buffer);
const sum = relevance.reduce((total, value) => total + value, 0);
console.log(explanation.target.label, explanation.relevance.shape, sum);
`;
  },
};
