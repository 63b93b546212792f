// Whose code our packages bring along: writes THIRD_PARTY_NOTICES.md of each published package from what is installed.
// `node tools/third-party.mjs` checks that they are current and that every licence is one we know, `--write` writes.
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Licences that ask for no more than notices, or whose terms stay with their own files (MPL). */
const KNOWN = new Set([
  "0BSD",
  "Apache-2.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "CC0-1.0",
  "ISC",
  "MIT",
  "MPL-2.0",
  "Unlicense",
]);

/** What a package.json does not say: which code a package carries, and under which terms. */
const CARRIES = {
  "@jsquash/jpeg":
    "carries, compiled to WebAssembly, MozJPEG (IJG, BSD-3-Clause and zlib) and code of Emscripten (MIT).",
  "h264-mp4-encoder":
    "carries, compiled to WebAssembly, minih264 (public domain), libmp4v2 (MPL-1.1) and code of Emscripten (MIT). " +
    "The source of libmp4v2 as it is used there: https://github.com/TrevorSundberg/h264-mp4-encoder",
  "@libav.js/variant-webm-vp9":
    "carries, compiled to WebAssembly, parts of FFmpeg (LGPL-2.1-or-later), libvpx (BSD-3-Clause), libopus (BSD-3-Clause) " +
    "and code of Emscripten (MIT). It is loaded at run time as a file of its own, which a user may replace. The sources, and " +
    "how to build them: https://github.com/Yahweasel/libav.js",
  mediabunny: "is used unchanged. Its source: https://github.com/Vanilagy/mediabunny",
  webgpu:
    "carries Dawn (BSD-3-Clause) and what Dawn is built from, such as Abseil (Apache-2.0) and SPIRV-Tools (Apache-2.0).",
  "@sparticuz/chromium":
    "carries a build of Chromium (BSD-3-Clause). We unpack two libraries of it: SwiftShader (Apache-2.0) and the Vulkan loader " +
    "of the Khronos Group (Apache-2.0).",
};
/** Licences that are fine for what they cover, one by one. */
const EXCEPTIONS = {
  "json-schema": "BSD-3-Clause, of the two that it offers",
  "h264-mp4-encoder": "MIT, with parts under MPL-1.1 and in the public domain",
  webgpu: "BSD-3-Clause as its licence file has it; its package.json says MIT",
  "@libav.js/variant-webm-vp9": "LGPL-2.1, with parts under BSD-3-Clause and MIT",
};

const read = (path) => JSON.parse(readFileSync(path, "utf8"));

/** The folder of a package as a file in `from` finds it. */
function find(name, from) {
  for (let folder = realpathSync(from); ; folder = dirname(folder)) {
    const place = join(folder, "node_modules", name);
    if (existsSync(join(place, "package.json"))) return realpathSync(place);
    if (dirname(folder) === folder) return undefined;
  }
}

/** The lines of a licence file that say who holds the rights. */
function holders(folder) {
  const file = readdirSync(folder).find((name) => /^licen[cs]e(\.|$)/i.test(name));
  const text = file ? readFileSync(join(folder, file), "utf8") : "";
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  return [...new Set(lines.filter((line) => /^(copyright\b|\(c\)|©).*\d{4}/i.test(line)))];
}

function sourceOf(manifest) {
  const url = typeof manifest.repository === "string" ? manifest.repository : manifest.repository?.url;
  if (!url) return manifest.homepage ?? `https://www.npmjs.com/package/${manifest.name}`;
  return url
    .replace(/^git\+/, "")
    .replace(/^git:\/\//, "https://")
    .replace(/\.git$/, "")
    .replace(/^([\w-]+\/[\w.-]+)$/, "https://github.com/$1");
}

const problems = [];

/** Everything of others that installing a package brings, itself excluded: name → how, folder. */
function collect(folder, manifest) {
  const found = new Map();
  const add = (name, from, how) => {
    if (name.startsWith("@lvsa/") || found.has(name)) return;
    const place = find(name, from);
    if (!place) {
      if (how === "dependency") problems.push(`${folder}: ${name} is not installed`);
      return;
    }
    const theirs = read(join(place, "package.json"));
    found.set(name, { how, place, manifest: theirs });
    for (const other of Object.keys(theirs.dependencies ?? {})) add(other, place, how);
  };
  for (const name of Object.keys(manifest.dependencies ?? {})) add(name, folder, "dependency");
  for (const name of Object.keys(manifest.optionalDependencies ?? {}))
    add(name, folder, "installed where it can be");
  for (const name of Object.keys(manifest.peerDependencies ?? {}))
    add(name, folder, "used if the application installs it");
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

function notices(folder, manifest) {
  const entries = collect(folder, manifest);
  if (entries.length === 0) return undefined;
  const sections = entries.map(([name, { how, place, manifest: theirs }]) => {
    const licence =
      EXCEPTIONS[name] ??
      theirs.license ??
      theirs.licenses?.map(({ type }) => type).join(", ") ??
      "none stated";
    const parts = licence.split(/\s+(?:OR|AND)\s+|[()]/).filter(Boolean);
    if (!EXCEPTIONS[name] && !parts.every((part) => KNOWN.has(part)))
      problems.push(
        `${folder}: ${name} has the licence ${licence}; say in tools/third-party.mjs whether that is fine`,
      );
    const lines = [
      `## ${name}`,
      "",
      `- Licence: ${licence}`,
      `- ${how[0].toUpperCase()}${how.slice(1)}; source: ${sourceOf(theirs)}`,
    ];
    for (const holder of holders(place)) lines.push(`- ${holder}`);
    if (CARRIES[name]) lines.push(`- The package ${CARRIES[name]}`);
    return lines.join("\n");
  });
  return `# Third-party notices

${manifest.name} is licensed under Apache-2.0 and holds no code of others. Installing it brings the following packages, each
under its own licence, whose text comes with the package or lies in its source. Packages of the same project (\`@lvsa/*\`) have notices of
their own. Written by \`tools/third-party.mjs\`.

${sections.join("\n\n")}
`;
}

let count = 0;
for (const parent of ["packages", "apps"]) {
  for (const name of readdirSync(parent)) {
    const folder = `${parent}/${name}`;
    if (!existsSync(`${folder}/package.json`)) continue;
    const text = notices(folder, read(`${folder}/package.json`));
    const path = `${folder}/THIRD_PARTY_NOTICES.md`;
    const now = existsSync(path) ? readFileSync(path, "utf8").replaceAll("\r\n", "\n") : undefined;
    if (text !== undefined) count++;
    if (text === now) continue;
    if (text !== undefined && process.argv.includes("--write")) writeFileSync(path, text);
    else problems.push(`${path} is not current: node tools/third-party.mjs --write`);
  }
}
if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
console.log(`third-party notices of ${count} packages are current`);
