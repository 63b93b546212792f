/**
 * What a package's README says works for a stranger: its install line, typed in an empty folder with npm and with pnpm
 * (strict: only what is named can be imported), and then its first `ts` example, from packed packages.
 *
 * Two things differ from the printed text. `./<Checkpoint>` is the small random checkpoint of that family, under the
 * printed name. And the clip is cut short (`SHORT_CLIP`): the printed one is what a user wants, not what a test can wait for.
 */
import { existsSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Installer, manifestOf, PackedPackages, published, root, run } from "./testing/packed.js";
import { runtimes } from "./testing/runtimes.js";
import { startPostgres, startRedis } from "./testing/servers.js";

const SHORT_CLIP = "numFrames: 9, height: 32, width: 48";
const adapter = process.env.LVSA_TEST_ADAPTER || "auto";

/** Small checkpoints by how published ones are called. */
const checkpoints: readonly (readonly [RegExp, string])[] = [
  [/^Wan/, "fixtures/tiny-wan"],
  [/^HunyuanVideo/, "fixtures/reference/hunyuan/pipeline/checkpoint"],
  [/^CogVideoX/, "fixtures/reference/cogvideox/pipeline/checkpoint"],
  [/^Cosmos3/, "fixtures/reference/cosmos3/pipeline/checkpoint"],
];

interface Example {
  /** What the README tells to install. */
  readonly names: readonly string[];
  readonly source: string;
  /** Folder names that the example opens. */
  readonly folders: readonly string[];
}

/** The first `npm i` line and the first fenced `ts` block. */
function exampleOf(readmePath: string): Example {
  const readme = readFileSync(join(root, readmePath), "utf8");
  const line = /^(?:As a library \(`)?npm i(?:nstall)? ([@a-z][^\n`]*)/m.exec(readme)?.[1];
  const source = /^```ts\n(.*?)^```$/ms.exec(readme)?.[1];
  if (line === undefined || source === undefined)
    throw new Error(`${readmePath} has no npm i line, or no ts example`);
  const folders = [...source.matchAll(/nodeFolder\("\.\/([^"]+)"\)/g)].map((match) => match[1]!);
  // The repository's own lockfile says which version of them is meant.
  const names = line
    .trim()
    .split(/\s+/)
    .map((name) => name.replace(/(?<=.)@[^/]*$/, ""));
  return { names, source, folders };
}

/** The clip cut short, two steps where the example states none. */
function shortened(source: string): string {
  const clip = /numFrames: \d+(?:,\s+height: \d+,\s+width: \d+)?/g;
  return source
    .replace(/numInferenceSteps: \d+/g, "numInferenceSteps: 2")
    .replace(clip, `${SHORT_CLIP}, numInferenceSteps: 2`)
    .replace(/resolution: "\d+x\d+",\s+duration: \d+/, 'resolution: "48x32", duration: 0.5');
}

/** Servers that examples need, by the variable that tells their address. */
const servers = { REDIS_URL: startRedis, DATABASE_URL: startPostgres } as const;

let packed: PackedPackages;
beforeAll(async () => {
  packed = await PackedPackages.pack();
});
afterAll(() => packed.remove());

const readmes = [
  { label: "the repository", path: "README.md" },
  // The command line is a program: its own tests run it.
  ...published
    .filter((folder) => folder.startsWith("packages/"))
    .map((folder) => ({ label: manifestOf(folder).name, path: `${folder}/README.md` })),
];

/** `main.mjs` in a place where its README's install line was typed. */
async function prepare(
  installer: Installer,
  { label, path }: (typeof readmes)[number],
  skip: (why: string) => void,
): Promise<string> {
  const { names, source, folders } = exampleOf(path);
  // Where tests must run on the embedded driver, a machine without any is meant.
  const driver = adapter === "embedded" && names.includes("webgpu") ? ["@lvsa/software-adapter"] : [];
  const place = await packed.install(
    `${installer}-${label.replace(/\W+/g, "-")}`,
    [...new Set([...names, ...driver])],
    installer,
  );
  for (const printed of folders) {
    const small = checkpoints.find(([pattern]) => pattern.test(printed))?.[1];
    expect(small, `no small checkpoint stands for ${printed}`).toBeDefined();
    if (!existsSync(join(root, small!))) skip(`the example of ${label} needs ${small}, which is not here`);
    symlinkSync(join(root, small!), join(place, printed), "junction");
  }
  const { outputText } = ts.transpileModule(shortened(source), {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  // Programs that are not told to end wait for the GPU's threads.
  await writeFile(
    join(place, "main.mjs"),
    `${outputText}\nconsole.log("reached the end");\nprocess.exit(0);\n`,
  );
  return place;
}

describe.each<Installer>(["npm", "pnpm"])("installed by %s as its README says", (installer) => {
  test.for(readmes)("$label", async (readme, { skip }) => {
    const { label, path } = readme;
    const { source } = exampleOf(path);
    const place = await prepare(installer, readme, skip);
    const variable = (Object.keys(servers) as (keyof typeof servers)[]).find((name) => source.includes(name));
    const server = variable && (await servers[variable]());
    if (variable && !server) skip(`the example of ${label} needs a server that is not installed here`);
    try {
      // Rejects with what the example printed to stderr unless the process ends with 0.
      const { stdout } = await run(
        process.execPath,
        ["main.mjs"],
        place,
        server ? { [variable!]: server.url } : {},
      );
      expect(stdout).toContain("reached the end");
    } finally {
      await server?.stop();
    }
    const video = /writeVideo\("([^"]+)"/.exec(source)?.[1];
    // A header without frames is smaller.
    if (video) expect(statSync(join(place, video)).size).toBeGreaterThan(300);
  });
});

test.for(runtimes)(
  "the repository's example runs in $name, with the numbers of Node",
  async (runtime, { skip }) => {
    const { program, args, name } = runtime;
    if (!program) skip(runtime.missing);
    const place = await prepare("npm", { label: `in ${name}`, path: "README.md" }, skip);
    const main = await readFile(join(place, "main.mjs"), "utf8");
    const sum = `createHash("sha256").update(new Uint8Array(video.latents.data.buffer)).digest("hex")`;
    await writeFile(
      join(place, "main.mjs"),
      `import { createHash } from "node:crypto";\n${main.replace('console.log("reached', `console.log("latents", ${sum});\n$&`)}`,
    );
    const node = await run(process.execPath, ["main.mjs"], place);
    const size = statSync(join(place, "cat.mp4")).size;
    rmSync(join(place, "cat.mp4"));
    const { stdout } = await run(program!, [...args, "main.mjs"], place);
    expect(stdout).toContain("reached the end");
    const latents = /latents [0-9a-f]{64}/;
    expect(latents.exec(stdout)?.[0]).toBe(latents.exec(node.stdout)![0]);
    expect(statSync(join(place, "cat.mp4")).size).toBe(size);
  },
);
