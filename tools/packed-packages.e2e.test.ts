/** What a user gets: each package packed, installed from the registry's other packages into an empty folder, and used. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { ModuleKind, ScriptTarget, transpileModule } from "typescript";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manifestOf, PackedPackages, published, root, run } from "./testing/packed.js";

const adapter = process.env.LVSA_TEST_ADAPTER || "auto";

let packed: PackedPackages;
beforeAll(async () => {
  packed = await PackedPackages.pack();
});
afterAll(() => packed.remove());

const software = adapter === "embedded" ? ["@lvsa/software-adapter"] : [];

async function node(place: string, source: string, args: readonly string[] = []): Promise<string> {
  await writeFile(join(place, "main.js"), source);
  const { stdout } = await run(process.execPath, ["main.js", ...args], place, { ADAPTER: adapter });
  return stdout;
}

/** Where npm put packages of these names, relative to the project. */
async function copiesOf(place: string, names: readonly string[]): Promise<string[]> {
  const { stdout } = await run("npm", ["ls", "--all", "--parseable", ...names], place);
  const own = (path: string) => names.some((name) => path.replaceAll("\\", "/").endsWith(`/${name}`));
  return stdout
    .split("\n")
    .filter(own)
    .map((path) => relative(place, path).replaceAll("\\", "/"))
    .sort();
}

describe("tarballs", () => {
  test.each(published)("%s holds what it needs and nothing of the tests", async (folder) => {
    const files = await packed.filesOf(manifestOf(folder).name);
    for (const wanted of ["package.json", "README.md", "LICENSE"]) expect(files).toContain(wanted);
    expect(
      files.filter((file) => /\.test\.|__fixtures__|testing-support|\.tsbuildinfo|\.reference\./.test(file)),
    ).toEqual([]);
    expect(files.some((file) => /^dist\/.*\.js$/.test(file))).toBe(true);
  });
});

describe("packed and installed alone", () => {
  test("@lvsa/core computes a pattern and sparse attention", async () => {
    const place = await packed.install("core", ["@lvsa/core", "@lvsa/runtime", "webgpu", ...software]);
    const out = await node(
      place,
      `import { AttentionPattern, frameSparseAttention } from "@lvsa/core";
       import { createDevice } from "@lvsa/runtime/node";
       const pattern = AttentionPattern.build({ frames: 8, patchesPerFrame: 4, window: 1, nFirstFrames: 1, keyframeInterval: 4 });
       const device = await createDevice({ adapter: process.env.ADAPTER });
       const x = device.upload(new Float32Array(32 * 2 * 8).fill(0.5), [1, 32, 2, 8]);
       const { output } = frameSparseAttention(device, { query: x, key: x, value: x, pattern });
       console.log(pattern.density < 1, (await device.read(output)).every((v) => Math.abs(v - 0.5) < 1e-6));
       process.exit(0);`,
    );
    expect(out.trim()).toBe("true true");
  });

  test("can be required by CommonJS programs, and say their version", async () => {
    const place = await packed.install("commonjs", ["@lvsa/adapter-wan", "@lvsa/diffusion", "@lvsa/video"]);
    await writeFile(
      join(place, "main.cjs"),
      `const { createWanAdapter, VERSION } = require("@lvsa/adapter-wan");
       const { WanPipeline } = require("@lvsa/diffusion/wan");
       const { version } = require("@lvsa/adapter-wan/package.json");
       console.log(typeof createWanAdapter, typeof WanPipeline, typeof require("@lvsa/video").encodeVideo, VERSION === version);`,
    );
    const { stdout } = await run(process.execPath, ["main.cjs"], place);
    expect(stdout.trim()).toBe("function function function true");
  });

  test("@lvsa/diffusion opens the scheduler, tokenizer and catalog without a GPU", async () => {
    const place = await packed.install("diffusion", ["@lvsa/diffusion"]);
    const out = await node(
      place,
      `import { TorchCpuGenerator, knownPipelines } from "@lvsa/diffusion";
       import { knownModels } from "@lvsa/diffusion/catalog";
       console.log(new TorchCpuGenerator(0).randn([1])[0].toFixed(4), knownPipelines().includes("WanPipeline"), knownModels().length > 10);`,
    );
    expect(out.trim()).toBe("1.5410 true true");
  });

  const families = [
    {
      name: "@lvsa/adapter-wan",
      create: "createWanAdapter",
      checkpoint: "fixtures/tiny-wan",
      size: [9, 32, 48],
    },
    {
      name: "@lvsa/adapter-hunyuan",
      create: "createHunyuanAdapter",
      checkpoint: "fixtures/reference/hunyuan/pipeline/checkpoint",
    },
    {
      name: "@lvsa/adapter-cogvideox",
      create: "createCogVideoXAdapter",
      checkpoint: "fixtures/reference/cogvideox/pipeline/checkpoint",
    },
    {
      name: "@lvsa/cosmos3-processor",
      create: undefined,
      checkpoint: "fixtures/reference/cosmos3/pipeline/checkpoint",
    },
  ].filter(({ name }) => existsSync(join(root, "packages", name.slice(6), "package.json")));

  test.each(families)("$name generates a clip", async ({ name, create, checkpoint, size }) => {
    const place = await packed.install(name.slice(6), [
      name,
      "@lvsa/diffusion",
      "@lvsa/video",
      ...software,
      "webgpu",
    ]);
    const caseFile = join(root, checkpoint, "../case.json");
    const [numFrames, height, width] = size ?? clipOf(caseFile);
    const installation = create
      ? `import { ${create}, installLvsa } from "${name}";
         const install = (pipeline) => installLvsa(pipeline, ${create}());`
      : `import { installCosmos3Lvsa } from "${name}";
         const install = (pipeline, clip) => installCosmos3Lvsa(pipeline.transformers[0], clip);`;
    const out = await node(
      place,
      `${installation}
       import { Engine } from "@lvsa/diffusion";
       import { createDevice, nodeFolder } from "@lvsa/diffusion/node";
       import { writeVideo } from "@lvsa/video/node";
       const device = await createDevice({ adapter: process.env.ADAPTER });
       const engine = await Engine.open(nodeFolder(process.argv[2]), { device });
       const clip = { numFrames: ${numFrames}, height: ${height}, width: ${width} };
       const lvsa = install(engine.pipeline, clip);
       const result = await engine.generate({ prompt: "a boat", ...clip, numInferenceSteps: 2, seed: 1 });
       const written = await writeVideo("clip.mp4", { ...result });
       console.log(lvsa.blocks > 0, result.frameCount, written.path.endsWith("clip.mp4"));
       process.exit(0);`,
      [join(root, checkpoint)],
    );
    expect(out.trim().split("\n").at(-1)).toBe(`true ${numFrames} true`);
    expect((await stat(join(place, "clip.mp4"))).size).toBeGreaterThan(300);
    expect(existsSync(join(place, "node_modules/@lvsa/cli"))).toBe(false);
    // One copy of each: two would mean two devices, or two meanings of one class.
    const shared = ["@lvsa/core", "@lvsa/runtime", "webgpu", "zod"];
    expect(await copiesOf(place, shared)).toEqual(shared.map((shared) => `node_modules/${shared}`).sort());
    const other = families.find((family) => family.name !== name);
    if (other) expect(existsSync(join(place, "node_modules", other.name))).toBe(false);
  });
});

/** `examples/add-a-model` as its author publishes it: JavaScript, a manifest, a tarball. */
async function packRipple(): Promise<string> {
  const place = join(packed.folder, "lvsa-ripple");
  await mkdir(place, { recursive: true });
  const source = join(root, "examples/add-a-model");
  const target = { module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
  for (const file of readdirSync(source).filter((name) => /(?<!\.test)\.ts$/.test(name))) {
    const { outputText } = transpileModule(readFileSync(join(source, file), "utf8"), {
      compilerOptions: target,
    });
    await writeFile(join(place, file.replace(/ts$/, "js")), outputText);
  }
  const peerDependencies = Object.fromEntries(
    ["core", "diffusion", "hooks", "runtime"].map((name) => [`@lvsa/${name}`, "*"]),
  );
  const manifest = {
    name: "lvsa-ripple",
    version: "1.0.0",
    type: "module",
    exports: "./index.js",
    peerDependencies,
  };
  await writeFile(join(place, "package.json"), JSON.stringify(manifest));
  const { stdout } = await run("npm", ["pack", "--silent"], place);
  return join(place, stdout.trim().split(/\s+/).at(-1)!);
}

describe("a package of others", () => {
  // pnpm hides packages from those that do not name them: nothing may be found by luck.
  test("brings its model and its variable, and nobody changes a line", async () => {
    const names = ["@lvsa/diffusion", "@lvsa/hooks", "@lvsa/core", "@lvsa/runtime", ...software, "webgpu"];
    const place = await packed.install("ripple", names, "pnpm", { "lvsa-ripple": await packRipple() });
    await mkdir(join(place, "checkpoint"));
    await writeFile(join(place, "checkpoint/model_index.json"), '{"_class_name": "RipplePipeline"}');
    await writeFile(
      join(place, "app.js"),
      `import { Engine } from "@lvsa/diffusion";
       import { createDevice, nodeFolder } from "@lvsa/diffusion/node";
       const device = await createDevice({ adapter: process.env.ADAPTER });
       const engine = await Engine.open(nodeFolder("checkpoint"), { device });
       const { latents } = await engine.generate({ prompt: "rain", numFrames: 97, seed: 1 });
       console.log(latents.data.reduce((sum, x) => sum + Math.abs(x), 0));
       process.exit(0);`,
    );
    const app = (env: Readonly<Record<string, string>>) =>
      run(
        process.execPath,
        ["--import", "@lvsa/hooks/register", "--import", "lvsa-ripple", "app.js"],
        place,
        {
          ...{ ADAPTER: adapter, ...env },
        },
      );
    const dense = await app({});
    const sparse = await app({ LVSA_RIPPLE_HOOK: "1" });
    const misspelt = await app({ LVSA_RIPLE_HOOK: "1" });
    expect(lvsaLines(dense.stderr)).toEqual([]);
    expect(lvsaLines(sparse.stderr)).toEqual([
      "[LVSA-hook] Installed LVSA hook on RippleAttention (T_lat=auto)",
      expect.stringMatching(/^\[LVSA\] engaged \(ripple\): T_lat=25 P=6 seq_len=150 .* -> SPARSE$/),
    ]);
    expect(lvsaLines(misspelt.stderr)).toEqual([
      "[LVSA] Warning: unknown variable LVSA_RIPLE_HOOK; did you mean LVSA_RIPPLE_HOOK?",
    ]);
    expect(sparse.stdout).toMatch(/^[\d.]+\s*$/);
    expect(sparse.stdout).not.toBe(dense.stdout);
    expect(misspelt.stdout).toBe(dense.stdout);
  });
});

function lvsaLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.startsWith("[LVSA"));
}

/** Frames, height and width of the case's dense run. */
function clipOf(caseFile: string): [number, number, number] {
  const { runs } = JSON.parse(readFileSync(caseFile, "utf8")) as {
    runs: { dense: { num_frames: number; height: number; width: number } };
  };
  return [runs.dense.num_frames, runs.dense.height, runs.dense.width];
}
