/**
 * The first `ts` example of every package's README runs in a user's project: compiled without type checks, in a folder
 * whose node_modules holds the built packages.
 *
 * Two things differ from the printed text. `./<Checkpoint>` is the small random checkpoint of that family, under the
 * printed name. And the clip is cut short (`SHORT_CLIP`): the printed one is what a user wants, not what a test can wait for.
 */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const SHORT_CLIP = "numFrames: 9, height: 32, width: 48";

/** Small checkpoints by how published ones are called. */
const checkpoints: readonly (readonly [RegExp, string])[] = [
  [/^Wan/, "apps/cli/models/tiny-wan"],
  [/^HunyuanVideo/, "fixtures/reference/hunyuan/pipeline/checkpoint"],
  [/^CogVideoX/, "fixtures/reference/cogvideox/pipeline/checkpoint"],
  [/^Cosmos3/, "fixtures/reference/cosmos3/pipeline/checkpoint"],
];

const packages = readdirSync(join(root, "packages")).filter((name) =>
  existsSync(join(root, "packages", name, "package.json")),
);

interface Example {
  readonly source: string;
  /** Folder names that the example opens. */
  readonly folders: readonly string[];
}

/** The first fenced `ts` or `js` block. */
function exampleOf(name: string): Example | undefined {
  const readme = readFileSync(join(root, "packages", name, "README.md"), "utf8");
  const source = /^```(?:ts|js)\n(.*?)^```$/ms.exec(readme)?.[1];
  if (source === undefined) return undefined;
  return { source, folders: [...source.matchAll(/nodeFolder\("\.\/([^"]+)"\)/g)].map((match) => match[1]!) };
}

/** The clip cut short, two steps where the example states none. */
function shortened(source: string): string {
  const clip = /numFrames: \d+(?:,\s+height: \d+,\s+width: \d+)?/g;
  return source.replace(clip, `${SHORT_CLIP}, numInferenceSteps: 2`);
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-readme-"));
  await mkdir(join(folder, "node_modules/@lvsa"), { recursive: true });
  for (const name of packages)
    symlinkSync(join(root, "packages", name), join(folder, "node_modules/@lvsa", name));
  symlinkSync(join(root, "packages/runtime/node_modules/webgpu"), join(folder, "node_modules/webgpu"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the first example of a package's README runs", () => {
  test.for(packages)("%s", async (name, { skip }) => {
    const example = exampleOf(name);
    expect(example, `packages/${name}/README.md has no ts or js example`).toBeDefined();
    const { source, folders } = example!;
    for (const printed of folders) {
      const small = checkpoints.find(([pattern]) => pattern.test(printed))?.[1];
      expect(small, `no small checkpoint stands for ${printed}`).toBeDefined();
      if (!existsSync(join(root, small!))) {
        console.warn(`skipped: the example of @lvsa/${name} needs ${small}, which is not here`);
        skip();
      }
      if (!existsSync(join(folder, printed))) symlinkSync(join(root, small!), join(folder, printed));
    }
    const { outputText } = ts.transpileModule(shortened(source), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    const file = join(folder, `${name}.mjs`);
    await writeFile(file, `${outputText}\nconsole.log("reached the end");\n`);
    // Rejects with what the example printed to stderr unless the process ends by itself with 0.
    const { stdout } = await run(process.execPath, [file], { cwd: folder, timeout: 120_000 });
    expect(stdout).toContain("reached the end");
    const video = /writeVideo\("([^"]+)"/.exec(source)?.[1];
    // A header without frames is smaller.
    if (video) expect(statSync(join(folder, video)).size).toBeGreaterThan(300);
  });
});
