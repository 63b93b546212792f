// `changeset version` for this house: all packages take one version together (`fixed`).
//
// changesets makes a major release of every package whose peer leaves its range, and below 1.0.0 each minor does:
// 0.1.0 would become 1.0.0. Peers of the house move in the same release, so they are not there while it counts.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const manifests = ["packages", "apps"].flatMap((parent) =>
  readdirSync(parent)
    .map((name) => `${parent}/${name}/package.json`)
    .filter((path) => existsSync(path)),
);
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const save = (path, manifest) => writeFileSync(path, `${JSON.stringify(manifest, null, 2)}\n`);

const peers = new Map();
for (const path of manifests) {
  const manifest = read(path);
  if (!manifest.peerDependencies) continue;
  peers.set(path, manifest.peerDependencies);
  const foreign = Object.entries(manifest.peerDependencies).filter(([name]) => !name.startsWith("@lvsa/"));
  save(path, { ...manifest, peerDependencies: Object.fromEntries(foreign) });
}
let status = 1;
try {
  const changeset = createRequire(import.meta.url).resolve("@changesets/cli/bin.js");
  status = spawnSync(process.execPath, [changeset, "version"], { stdio: "inherit" }).status ?? 1;
} finally {
  for (const [path, peerDependencies] of peers) save(path, { ...read(path), peerDependencies });
}
process.exit(status);
