// What the package.json of every published package says alike: entries, repository, ranges, files, provenance.
// `node tools/manifests.mjs` checks, `--write` puts it right.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const write = process.argv.includes("--write");
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const root = read("package.json");
const folders = ["packages", "apps"].flatMap((parent) =>
  readdirSync(parent)
    .map((name) => `${parent}/${name}`)
    .filter((folder) => existsSync(`${folder}/package.json`)),
);
/** Versions that stay exact, and why. */
const EXACT = new Map([
  ["@sparticuz/chromium", "its archive is unpacked by us and checked against sums of this version"],
]);
/** Ranges of packages that several of ours name, in one place. */
const RANGES = { webgpu: ">=0.6.2 <1", "@libav.js/variant-webm-vp9": ">=6.10.9 <7" };
/** Native or embedded code runs nowhere else. */
const PLATFORMS = { "@lvsa/software-adapter": { os: ["linux"], cpu: ["x64"] } };

/** The manifest as it should be. */
function shaped(folder, manifest) {
  const repository = root.repository.url;
  const home = repository.replace(/^git\+/, "").replace(/\.git$/, "");
  const out = { ...manifest };
  out.repository = { type: "git", url: repository, directory: folder };
  out.homepage = `${home}/tree/main/${folder}#readme`;
  out.bugs = { url: `${home}/issues` };
  Object.assign(out, PLATFORMS[manifest.name] ?? {});
  out.exports = {};
  for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
    if (entry === "./package.json") continue;
    const file = target.default ?? target.import;
    // `default` lets CommonJS programs on Node 20.19 and later require it.
    out.exports[entry] = { types: target.types, import: file, default: file };
  }
  out.exports["./package.json"] = "./package.json";
  out.files = [...new Set([...manifest.files, "CHANGELOG.md", "THIRD_PARTY_NOTICES.md"])].filter(
    (file) => !file.startsWith("!dist"),
  );
  // Records of the compiler, and what only tests use.
  out.files.splice(1, 0, "!dist/*.tsbuildinfo", `!dist/**/*${manifest.bin ? "" : ".reference"}.d.ts`);
  out.publishConfig = { access: "public", provenance: true };
  for (const field of ["dependencies", "optionalDependencies", "peerDependencies"]) {
    if (!manifest[field]) continue;
    out[field] = Object.fromEntries(
      Object.entries(manifest[field]).map(([name, range]) => [name, rangeOf(name, range, field)]),
    );
  }
  const order = [
    "name",
    "version",
    "description",
    "keywords",
    "license",
    "homepage",
    "bugs",
    "repository",
    "type",
    "sideEffects",
    "engines",
    "os",
    "cpu",
    "bin",
    "exports",
    "files",
    "scripts",
    "dependencies",
    "optionalDependencies",
    "peerDependencies",
    "peerDependenciesMeta",
    "devDependencies",
    "publishConfig",
  ];
  const keys = [...new Set([...order, ...Object.keys(out)])].filter((key) => out[key] !== undefined);
  return Object.fromEntries(keys.map((key) => [key, out[key]]));
}

function rangeOf(name, range, field) {
  if (name.startsWith("@lvsa/")) return "workspace:^";
  if (EXACT.has(name)) return range;
  if (RANGES[name] && field === "peerDependencies") return RANGES[name];
  return /^\d/.test(range) ? `^${range}` : range;
}

const problems = [];
for (const folder of folders) {
  const path = `${folder}/package.json`;
  const manifest = read(path);
  if (manifest.private) continue;
  const text = `${JSON.stringify(shaped(folder, manifest), null, 2)}\n`;
  if (readFileSync(path, "utf8") === text) continue;
  if (write) writeFileSync(path, text);
  else problems.push(`${path} is not as the house writes it: node tools/manifests.mjs --write`);
}
// A release from another place would carry a provenance that does not match.
const here = process.env.GITHUB_REPOSITORY;
if (here && !root.repository.url.endsWith(`/${here}.git`)) {
  const line = `package.json names the repository ${root.repository.url}, and this is ${here}`;
  if (process.argv.includes("--release")) problems.push(line);
  else console.warn(`warning: ${line}`);
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`${folders.length} manifests are right`);
