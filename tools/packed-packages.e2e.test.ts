/** What a user gets: each package packed, installed from the registry's other packages into an empty folder, and used. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));
const adapter = process.env.LVSA_TEST_ADAPTER || "auto";
/** Test runners set variables that installers and Node would take for their own. */
const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(npm_|NODE_|VITEST)/.test(k)));

let folder: string;
const tarballs = new Map<string, string>();

/** Everything that is published. */
const packages = readdirSync(join(root, "packages")).filter((name) =>
  existsSync(join(root, "packages", name, "package.json")),
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-packed-"));
  for (const name of packages) {
    const out = join(folder, "tarballs", name);
    await mkdir(out, { recursive: true });
    await run("pnpm", ["pack", "--pack-destination", out], { cwd: join(root, "packages", name), env });
    tarballs.set(`@lvsa/${name}`, join(out, readdirSync(out)[0]!));
  }
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The @lvsa packages that `names` need, themselves included. */
function closure(names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    const manifest = JSON.parse(readFileSync(join(root, "packages", name.slice(6), "package.json"), "utf8"));
    const isOptional = (other: string) => manifest.peerDependenciesMeta?.[other]?.optional === true;
    const peers = Object.keys(manifest.peerDependencies ?? {}).filter((other) => !isOptional(other));
    for (const other of [...Object.keys(manifest.dependencies ?? {}), ...peers])
      if (other.startsWith("@lvsa/")) visit(other);
  };
  names.forEach(visit);
  return [...found].sort();
}

/** An empty folder with these packages installed as a user would. Unpublished dependencies come from their tarballs. */
async function install(
  label: string,
  names: readonly string[],
  others: Record<string, string> = {},
): Promise<string> {
  const place = join(folder, label);
  await mkdir(place, { recursive: true });
  const all = Object.fromEntries(closure(names).map((name) => [name, `file:${tarballs.get(name)}`]));
  await writeFile(
    join(place, "package.json"),
    JSON.stringify({
      name: label,
      private: true,
      type: "module",
      dependencies: { ...all, ...others },
      overrides: all,
    }),
  );
  await run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts"], {
    cwd: place,
    env,
  });
  return place;
}

const webgpu = { webgpu: "0.6.2" };
const software = adapter === "embedded" ? ["@lvsa/software-adapter"] : [];

async function node(place: string, source: string, args: readonly string[] = []): Promise<string> {
  await writeFile(join(place, "main.js"), source);
  const { stdout } = await run("node", ["main.js", ...args], {
    cwd: place,
    env: { ...env, ADAPTER: adapter },
  });
  return stdout;
}

describe("packed and installed alone", () => {
  test("@lvsa/core computes a pattern and sparse attention", async () => {
    const place = await install("core", ["@lvsa/core", ...software], webgpu);
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

  test("@lvsa/diffusion opens the scheduler, tokenizer and catalog without a GPU", async () => {
    const place = await install("diffusion", ["@lvsa/diffusion"]);
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
      checkpoint: "apps/cli/models/tiny-wan",
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
    const place = await install(name.slice(6), [name, "@lvsa/diffusion", "@lvsa/video", ...software], webgpu);
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
    const other = families.find((family) => family.name !== name);
    if (other) expect(existsSync(join(place, "node_modules", other.name))).toBe(false);
  });
});

/** Frames, height and width of the case's dense run. */
function clipOf(caseFile: string): [number, number, number] {
  const { runs } = JSON.parse(readFileSync(caseFile, "utf8")) as {
    runs: { dense: { num_frames: number; height: number; width: number } };
  };
  return [runs.dense.num_frames, runs.dense.height, runs.dense.width];
}
