// Validates objects of Prometheus' operator and of KEDA; writes what is wrong with each as JSON.
// The models check values and let unknown fields pass; their TypeScript types refuse those.

import { ScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const MODELS = {
  "keda.sh/v1alpha1 ScaledObject": ScaledObject,
  "monitoring.coreos.com/v1 ServiceMonitor": ServiceMonitor,
};
const TYPES = `
import type { IScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1";
import type { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
`;

function nameOf(manifest) {
  return `${manifest.apiVersion} ${manifest.kind}`;
}

function wrongValue(manifest) {
  const Model = MODELS[nameOf(manifest)];
  if (!Model) return `${nameOf(manifest)} is not known`;
  try {
    new Model(manifest).validate();
    return "";
  } catch (error) {
    return error.message;
  }
}

// what the compiler says, by the line of the manifest in the file
function wrongTypes(manifests) {
  const lines = manifests.map((manifest, n) =>
    nameOf(manifest) in MODELS
      ? `export const m${n}: I${manifest.kind} = ${JSON.stringify(manifest)};`
      : "",
  );
  writeFileSync("manifests.mts", TYPES.trim() + "\n" + lines.join("\n") + "\n");
  const options = "--noEmit --ignoreConfig --strict --skipLibCheck --target es2022 --module nodenext --pretty false";
  const done = spawnSync("node_modules/.bin/tsc", [...options.split(" "), "manifests.mts"], {
    encoding: "utf8",
  });
  const told = manifests.map(() => "");
  for (const [, line, text] of done.stdout.matchAll(/^manifests\.mts\((\d+),\d+\): (error .*)$/gm)) {
    told[Number(line) - 3] += text;
  }
  if (done.status !== 0 && told.every((text) => !text)) throw new Error(done.stdout + done.stderr);
  return told;
}

const manifests = JSON.parse(readFileSync(process.argv[2], "utf8"));
const types = wrongTypes(manifests);
process.stdout.write(JSON.stringify(manifests.map((manifest, n) => wrongValue(manifest) + types[n])));
