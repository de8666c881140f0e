// Code that asks for an explanation, and runs as it is pasted.

/** A word of a shell command. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export const snippets = {
  curl({ url, file, sample, hasKey }) {
    const body = sample ? "@-" : `@${file}`;
    const from = sample ? `curl -sf ${quoted(sample)} |\n  ` : "";
    return `${from}curl -s -H 'Content-Type: application/octet-stream' --data-binary ${quoted(body)} \\\n  ${hasKey ? '-H "X-API-Key: $LRPSERVE_API_KEY" ' : ""}${quoted(url)}`;
  },

  Python({ url, file, sample, hasKey }) {
    const read = sample
      ? `urlopen(${JSON.stringify(sample)}).read()`
      : `open(${JSON.stringify(file)}, "rb").read()`;
    return `import base64, json${hasKey ? ", os" : ""}
from urllib.request import Request, urlopen

import numpy as np

image = ${read}
url = ${JSON.stringify(url)}
headers = {"Content-Type": "application/octet-stream"${hasKey ? ', "X-API-Key": os.environ["LRPSERVE_API_KEY"]' : ""}}
answer = json.load(urlopen(Request(url, data=image, headers=headers)))
relevance = answer["relevance"]
array = np.frombuffer(base64.b64decode(relevance["data"]), "<f4").reshape(relevance["shape"])
print(answer["target"]["label"], array.shape, array.sum())
`;
  },

  JavaScript({ url, file, sample, hasKey }) {
    const read = sample
      ? `const image = await (await fetch(${JSON.stringify(sample)})).blob();`
      : `import { openAsBlob } from "node:fs";\nconst image = await openAsBlob(${JSON.stringify(file)});`;
    return `${read}
const answer = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { "Content-Type": "application/octet-stream"${hasKey ? ', "X-API-Key": process.env.LRPSERVE_API_KEY' : ""} },
  body: image,
});
const found = await answer.json();
const bytes = Uint8Array.from(atob(found.relevance.data), (c) => c.charCodeAt(0));
const relevance = new Float32Array(bytes.buffer);
console.log(found.target.label, found.relevance.shape, relevance.reduce((sum, r) => sum + r, 0));
`;
  },
};
