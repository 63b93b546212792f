// What an application loads to start with us: bundled and minified by esbuild, compressed by gzip, against a budget. Parts
// that are imported on demand (`import()`) are other files, and listed as loaded later. Needs built packages. `node tools/bundle-size.mjs --why` also lists what each bundle is made of.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

const adapter = (name, create) =>
  `export { ${create} } from "@lvsa/adapter-${name}"; export { installLvsa } from "@lvsa/core";`;
const pipeline = (family, name) => `export { ${name} } from "@lvsa/diffusion/${family}";`;

/** Names that only other families' code holds, and packages that only they need. */
const notWan = [
  /CogVideoXD\w+Scheduler/,
  /HunyuanVideo15\w+/,
  /Cosmos3Omni\w+/,
  /Qwen2\w*/,
  /ByT5/,
  /@huggingface\/\w+/,
];

/** `from`: whose dependencies are found. `budget`: kB (1000 bytes) of gzip. `without`: what must not come along, in the text or as a package. */
const bundles = [
  { name: "core: AttentionPattern", source: 'export { AttentionPattern } from "@lvsa/core";', budget: 5 },
  { name: "adapter-wan with core", source: adapter("wan", "createWanAdapter"), budget: 45, without: notWan },
  { name: "adapter-hunyuan with core", source: adapter("hunyuan", "createHunyuanAdapter"), budget: 45 },
  { name: "adapter-cogvideox with core", source: adapter("cogvideox", "createCogVideoXAdapter"), budget: 45 },
  {
    name: "cosmos3-processor with core",
    source: 'export { installCosmos3Lvsa } from "@lvsa/cosmos3-processor";',
    budget: 45,
  },
  {
    name: "adapter-wan with core and WanPipeline",
    source: adapter("wan", "createWanAdapter") + pipeline("wan", "WanPipeline"),
    budget: 150,
    without: notWan,
  },
  {
    name: "CogVideoXPipeline",
    source: pipeline("cogvideox", "CogVideoXPipeline"),
    budget: 150,
    without: [/UniPC\w+Scheduler/, /HunyuanVideo15\w+/, /Cosmos3Omni\w+/, /Qwen2\w*/, /@huggingface\/\w+/],
  },
  {
    name: "tokenizers: loadTokenizer",
    from: "packages/diffusion",
    source: 'export { loadTokenizer } from "@lvsa/tokenizers";',
    budget: 70,
  },
  { name: "video: encodeVideo", source: 'export { encodeVideo } from "@lvsa/video";', budget: 75 },
  {
    name: "web: what the page loads (createGenerator)",
    from: "apps/web",
    source: 'export { createGenerator, webgpuProblem, droppedFiles } from "@lvsa/web";',
    budget: 10,
    // All that computes is the worker's.
    without: [/WanPipeline/, /mediabunny/],
  },
  // Plans and runs models of all families; loaded behind the page, once.
  { name: "web: the worker", from: "apps/web", source: 'import "@lvsa/web/worker";', budget: 250 },
];

/** The command line depends on nearly all packages, so they are found from there. */
async function bundle(contents, from = "apps/cli") {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: join(root, from) },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    splitting: true,
    outdir: "out",
    write: false,
    metafile: true,
    // Bare imports of chunks without side effects are dropped, as they should be.
    logLevel: "error",
  });
  // The entry, and what it imports at once.
  const start = new Set();
  const visit = (path) => {
    if (start.has(path)) return;
    start.add(path);
    for (const { path: next, kind } of metafile.outputs[path].imports)
      if (kind === "import-statement") visit(next);
  };
  visit(Object.keys(metafile.outputs).find((path) => metafile.outputs[path].entryPoint === "<stdin>"));
  const isStart = ({ path }) => [...start].some((name) => path === join(root, name));
  const text = outputFiles
    .filter(isStart)
    .map((file) => file.text)
    .join("\n");
  const later = outputFiles
    .filter((file) => !isStart(file))
    .map((file) => file.text)
    .join("\n");
  const parts = new Map();
  const inputs = [...start].flatMap((path) => Object.entries(metafile.outputs[path].inputs));
  for (const [file, { bytesInOutput }] of inputs) {
    const found = /node_modules\/(?!\.pnpm)((?:@[^/]+\/)?[^/]+)(?!.*node_modules)/.exec(file);
    const part =
      found?.[1] ??
      (/packages\/([^/]+)/.exec(file)?.[1] ? `@lvsa/${/packages\/([^/]+)/.exec(file)[1]}` : file);
    if (bytesInOutput > 0) parts.set(part, (parts.get(part) ?? 0) + bytesInOutput);
  }
  const gzip = (code) => gzipSync(code, { level: 9 }).length;
  return { text, gzip: gzip(text), later: later === "" ? 0 : gzip(later), parts };
}

const kB = (bytes) => (bytes / 1000).toFixed(1);
const problems = [];
console.log("minified   gzip  budget   later  bundle");
for (const { name, source, from, budget, without = [] } of bundles) {
  const { text, gzip, later, parts } = await bundle(source, from);
  const columns = [
    kB(text.length).padStart(8),
    kB(gzip).padStart(6),
    String(budget).padStart(7),
    (later ? kB(later) : "").padStart(7),
  ];
  console.log(`${columns.join(" ")}  ${name}`);
  if (process.argv.includes("--why")) {
    for (const [part, bytes] of [...parts].sort((a, b) => b[1] - a[1]))
      console.log(`${kB(bytes).padStart(8)}                          ${part}`);
  }
  if (gzip > budget * 1000) problems.push(`${name}: ${kB(gzip)} kB of gzip, and the budget is ${budget}`);
  for (const pattern of without) {
    const found = pattern.exec(text)?.[0] ?? [...parts.keys()].find((part) => pattern.test(part));
    if (found) problems.push(`${name}: holds ${found}, which belongs to other families`);
  }
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
