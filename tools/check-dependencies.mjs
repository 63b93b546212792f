// Who may import whom (docs/architecture.md). Fails on a forbidden import, on `node:*` or `webgpu` outside of the
// doors to Node, and on a dependency that package.json does not declare. Import cycles are biome's noImportCycles.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const packages = {
  runtime: "packages",
  tokenizers: "packages",
  video: "packages",
  core: "packages",
  diffusion: "packages",
  hooks: "packages",
  "software-adapter": "packages",
  "adapter-wan": "packages",
  "adapter-hunyuan": "packages",
  "adapter-cogvideox": "packages",
  "cosmos3-processor": "packages",
  cli: "apps",
};
const adapters = ["adapter-wan", "adapter-hunyuan", "adapter-cogvideox", "cosmos3-processor"];
// `types:x` allows `import type` only, `errors:x` the entry `@lvsa/x/errors` only.
const allowed = {
  runtime: [],
  "software-adapter": [],
  video: ["errors:runtime"],
  tokenizers: ["errors:runtime"],
  core: ["runtime"],
  diffusion: ["runtime", "tokenizers"],
  ...Object.fromEntries(adapters.map((name) => [name, ["runtime", "core", "types:diffusion"]])),
  hooks: ["runtime", "core", "types:diffusion", ...adapters],
  cli: ["runtime", "core", "diffusion", "video", "hooks", "software-adapter", ...adapters],
};
const problems = [];

function* sources(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (entry.name.endsWith(".ts") && !/\.(test|d)\.ts$/.test(entry.name)) yield path;
  }
}

for (const [name, parent] of Object.entries(packages)) {
  const root = join(parent, name);
  if (!existsSync(join(root, "package.json"))) continue;
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const declared = new Set(
    ["dependencies", "peerDependencies", "optionalDependencies"].flatMap((key) =>
      Object.keys(manifest[key] ?? {}),
    ),
  );
  for (const file of sources(join(root, "src"))) {
    const isTesting =
      /\/(testing|testing-support)(\/|\.ts$)|\.reference\.ts$|-cases\.ts$|testing-reference\.ts$/.test(file);
    const isNodeDoor =
      /\/(node|node-[a-z-]+)(\/|\.ts$)|\/register\.ts$/.test(file) ||
      ["cli", "software-adapter"].includes(name) ||
      isTesting;
    // Examples in comments are no imports.
    const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
    for (const [, typeOnly, from, dynamic] of text.matchAll(
      /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|import\(\s*"([^"]+)"\s*\)/gm,
    )) {
      const target = from ?? dynamic;
      if (!target || target.startsWith(".")) continue;
      if ((target.startsWith("node:") || target === "webgpu") && !isNodeDoor)
        problems.push(`${file}: imports ${target}; only node.ts and node/ may`);
      if (target.startsWith("node:")) continue;
      const parts = target.split("/");
      const dependency = target.startsWith("@") ? `${parts[0]}/${parts[1]}` : parts[0];
      if (dependency === manifest.name) continue;
      if (!declared.has(dependency) && !(isTesting && ["vitest", "fast-check"].includes(dependency)))
        problems.push(`${file}: ${dependency} is not in package.json`);
      if (!dependency.startsWith("@lvsa/")) continue;
      const short = dependency.slice("@lvsa/".length);
      const may = (kind) => allowed[name].includes(`${kind}:${short}`);
      if (allowed[name].includes(short) || (may("types") && typeOnly)) continue;
      if (isTesting || (may("errors") && target === `${dependency}/errors`)) continue;
      const but = may("types") ? " (types only)" : may("errors") ? ` (only ${dependency}/errors)` : "";
      problems.push(`${file}: ${name} may not import ${target}${but}`);
    }
  }
}
if (problems.length) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log("dependency directions are right");
