// Code that requests an explanation, and runs as it is pasted.
import { givenOptions, queryOf } from "../service/requests.js";

/** @import { Options } from "../service/types.d.ts" */

/**
 * @typedef {object} SnippetRequest
 * @property {string} service - its address
 * @property {Options} options - of the request, as JSON has them
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

/**
 * The address of the request.
 *
 * @param {SnippetRequest} request
 */
const urlOf = ({ service, options }) =>
  `${service}explain?${queryOf({ ...options, output: "heatmap,relevance" })}`;

/**
 * A Python literal.
 *
 * @param {string | number | boolean | undefined} value
 */
function literal(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  return JSON.stringify(value);
}

/** @type {Record<string, (request: SnippetRequest) => string>} */
export const SNIPPETS = {
  curl(request) {
    const { file, sample, hasKey } = request;
    const download = sample ? `curl -sf ${quoted(sample)} |\n  ` : "";
    const body = sample ? "@-" : `@${file}`;
    const key = hasKey ? '-H "X-API-Key: $LRPSERVE_API_KEY" ' : "";
    return `${download}curl -s -H 'Content-Type: application/octet-stream' \\
  --data-binary ${quoted(body)} \\
  ${key}${quoted(urlOf(request))}`;
  },

  Python({ service, options, file, sample, hasKey }) {
    const image = sample ? `httpx.get(${literal(sample)}).content` : literal(file);
    const key = hasKey ? ', api_key=os.environ["LRPSERVE_API_KEY"]' : "";
    const keywords = givenOptions(options).map(([name, value]) => `, ${name}=${literal(value)}`);
    return `# pip install lrpserve-client
${hasKey ? "import os\n\n" : ""}${sample ? "import httpx\n" : ""}from lrpserve_client import Client

image = ${image}
with Client(${literal(service)}${key}) as client:
    explanation = client.explain(image${keywords.join("")})
relevance = explanation.relevance
print(explanation.target.label, relevance.shape, relevance.sum())
`;
  },

  JavaScript(request) {
    const { file, sample, hasKey } = request;
    const image = sample
      ? `const image = await (await fetch(${JSON.stringify(sample)})).blob();`
      : `import { openAsBlob } from "node:fs";
const image = await openAsBlob(${JSON.stringify(file)});`;
    const key = hasKey ? ', "X-API-Key": process.env.LRPSERVE_API_KEY' : "";
    return `${image}
const response = await fetch(${JSON.stringify(urlOf(request))}, {
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
