// Who may import whom (docs/architecture.md). Fails on a forbidden import, on a forbidden dependency in package.json, on
// an import that package.json does not declare, on a package without a floor, and on `node:*` or `webgpu` outside of the
// doors to Node. Import cycles are biome's noImportCycles.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";

const adapters = ["adapter-wan", "adapter-hunyuan", "adapter-cogvideox", "cosmos3-processor"];
// The floors, lowest first. Nobody imports upward: what adapters and hooks share with the host engine lies in core.
// `x/entry`: that entry of `@lvsa/x` only.
const allowed = {
  runtime: [],
  "software-adapter": [],
  "demo-wan": [],
  jobs: ["runtime/errors"],
  "ai-sdk": ["runtime/errors", "diffusion", "video"],
  "jobs-bullmq": ["jobs"],
  "jobs-pgboss": ["jobs"],
  video: ["runtime/errors", "runtime/node-import"],
  quality: ["runtime/errors", "video"],
  tokenizers: ["runtime/errors"],
  core: ["runtime"],
  diffusion: ["runtime", "core", "tokenizers"],
  ...Object.fromEntries(adapters.map((name) => [name, ["core"]])),
  hooks: ["core", ...adapters],
  web: ["runtime", "core", "diffusion", "video", "hooks/families", ...adapters],
  page: ["runtime/errors", "demo-wan", "web"],
  server: [
    "runtime/errors",
    "runtime/node",
    "runtime/node-import",
    "diffusion/catalog",
    "jobs",
    "jobs-bullmq",
    "jobs-pgboss",
  ],
  cli: [
    "runtime",
    "server",
    "core",
    "diffusion",
    "video",
    "quality",
    "hooks",
    "software-adapter",
    "demo-wan",
    ...adapters,
  ],
};
const problems = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    // Windows writes backslashes; the rules below are written with slashes.
    const path = join(folder, entry.name).split(sep).join("/");
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith(".ts") && !/\.(test|d)\.ts$/.test(entry.name)) yield path;
  }
}

/** Every package and application by its name without the scope. */
function* packages() {
  for (const parent of ["packages", "apps"])
    for (const name of readdirSync(parent))
      if (existsSync(join(parent, name, "package.json"))) {
        const manifest = JSON.parse(readFileSync(join(parent, name, "package.json"), "utf8"));
        yield [manifest.name.replace(/^@lvsa\//, ""), join(parent, name)];
      }
}

for (const [name, root] of packages()) {
  const floor = allowed[name];
  if (!floor) {
    problems.push(`${root}: has no floor in tools/check-dependencies.mjs`);
    continue;
  }
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const declared = new Set(
    ["dependencies", "peerDependencies", "optionalDependencies"].flatMap((key) =>
      Object.keys(manifest[key] ?? {}),
    ),
  );
  const below = new Set(floor.map((entry) => entry.split("/")[0]));
  for (const dependency of declared)
    if (dependency.startsWith("@lvsa/") && !below.has(dependency.slice("@lvsa/".length)))
      problems.push(`${root}/package.json: ${name} may not depend on ${dependency}`);
  for (const file of sources(join(root, "src"))) {
    const isTesting =
      /\/(testing|testing-support)(\/|\.ts$)|\.reference\.ts$|-cases\.ts$|testing-reference\.ts$/.test(file);
    const isNodeDoor =
      /\/(node|node-[a-z-]+)(\/|\.ts$)|\/register\.ts$/.test(file) ||
      ["cli", "server", "software-adapter", "jobs-bullmq", "jobs-pgboss"].includes(name) ||
      isTesting;
    // Examples in comments are no imports.
    const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, from, dynamic] of text.matchAll(
      /^(?:import|export)\s+(?:type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|import\(\s*"([^"]+)"\s*\)/gm,
    )) {
      const target = from ?? dynamic;
      if (!target || target.startsWith(".")) continue;
      if ((target.startsWith("node:") || target === "webgpu") && !isNodeDoor)
        problems.push(`${file}: imports ${target}; only node.ts and node/ may`);
      if (target.startsWith("node:")) continue;
      if (target === "zod" && !/\* as z from "zod"/.test(text))
        problems.push(
          `${file}: write import * as z from "zod"; the named import bundles all of it, 90 kB of gzip`,
        );
      const parts = target.split("/");
      const dependency = target.startsWith("@") ? `${parts[0]}/${parts[1]}` : parts[0];
      if (dependency === manifest.name) continue;
      if (!declared.has(dependency) && !(isTesting && ["vitest", "fast-check"].includes(dependency)))
        problems.push(`${file}: ${dependency} is not in package.json`);
      if (!dependency.startsWith("@lvsa/")) continue;
      const short = dependency.slice("@lvsa/".length);
      if (floor.includes(short) || floor.includes(target.slice("@lvsa/".length))) continue;
      // Tests and their support may reach for what they compare with.
      if (isTesting && below.has(short)) continue;
      const entries = floor.filter((entry) => entry.startsWith(`${short}/`)).map((entry) => `@lvsa/${entry}`);
      problems.push(
        `${file}: ${name} may not import ${target}${entries.length > 0 ? ` (only ${entries.join(", ")})` : ""}`,
      );
    }
  }
}
if (problems.length) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log("dependency directions are right");
