import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { fileURLToPath } from "node:url";
import { inspectCheckpoint, requireWholeWeights } from "@lvsa/diffusion/catalog";
import { countingGpu, type DeviceInfo } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { afterAll, describe, expect, it } from "vitest";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { parseGenerateOptions } from "../options/generate-options.js";
import { chooseCheckpoint, withStudent } from "./checkpoint.js";
import { readLatents, writeLatents } from "./latents-file.js";
import { checkMemory } from "./memory-check.js";
import { checkSpace, claimOutputs, outputBytes, outputPaths } from "./output-check.js";
import { lockPath } from "./output-lock.js";

const TINY = fileURLToPath(new URL("../../../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-files-"));
afterAll(() => rm(folder, { recursive: true }));

describe("latents", () => {
  it("come back as they were, in a folder that was missing, with nothing beside them", async () => {
    const latents = { data: Float32Array.from({ length: 6 }, (_, i) => i / 3), shape: [1, 1, 1, 2, 3] };
    const path = join(folder, "a/b/latents.safetensors");
    await writeLatents(path, latents);
    expect(await readLatents(path)).toEqual({ ...latents, metadata: {} });
    expect(await readdir(join(folder, "a/b"))).toEqual(["latents.safetensors"]);
  });
});

describe("outputs", () => {
  it("are a video, or latents alone when only those are asked for", async () => {
    expect(await outputPaths({ outputLatent: "x" })).toEqual({ output: undefined, outputLatent: "x" });
    const both = { output: "a.gif", outputLatent: "x" };
    expect(await outputPaths(both)).toEqual(both);
  });

  it("by default count up past what is there, and past what others write", async () => {
    const before = process.cwd();
    const own = await mkdtemp(join(folder, "names-"));
    process.chdir(own);
    try {
      expect(await outputPaths({})).toEqual({ output: "lvsa.mp4", outputLatent: undefined });
      await writeFile("lvsa.mp4", "");
      await using _claim = await claimOutputs({ output: "lvsa-2.mp4", outputLatent: undefined }, {});
      expect((await outputPaths({})).output).toBe("lvsa-3.mp4");
    } finally {
      process.chdir(before);
    }
  });

  it("are refused before the run where they can not be written", async () => {
    const check = async (output?: string, outputLatent?: string) => {
      await using _claim = await claimOutputs({ output, outputLatent }, {});
    };
    await writeFile(join(folder, "file"), "");
    await writeFile(join(folder, "old.png"), "");
    await writeFile(join(folder, "old.safetensors"), "");
    await mkdir(join(folder, "full.safetensors"));
    await expect(check(join(folder, "file/clip.png"))).rejects.toMatchObject({ isUsage: true });
    await expect(check(join(folder, "old.png"))).rejects.toThrow("is there already");
    await expect(check(undefined, join(folder, "old.safetensors"))).rejects.toThrow("is there already");
    await expect(check(undefined, join(folder, "full.safetensors"))).rejects.toThrow("is a folder");
    await expect(check(undefined, folder)).rejects.toThrow(".safetensors");
    await expect(check(join(folder, "x.safetensors"), join(folder, "x.safetensors"))).rejects.toThrow();
    await expect(check("/proc/x.png")).rejects.toMatchObject({ isUsage: true });
    await check(join(folder, "new/deep/clip.png"), join(folder, "new/l.safetensors"));
    expect(await readdir(join(folder, "new"), { recursive: true })).toEqual(["deep"]);
    if (getuid?.() === 0) return; // root may write everywhere
    await chmod(folder, 0o500);
    await expect(check(join(folder, "clip.png"))).rejects.toThrow("can not be written");
    await chmod(folder, 0o700);
  });

  it("belong to one process at a time; what a dead one left is taken over", async () => {
    const output = join(folder, "locked.png");
    const paths = { output, outputLatent: undefined };
    const first = await claimOutputs(paths, {});
    await expect(claimOutputs(paths, {})).rejects.toMatchObject({ code: "OUTPUT_IN_USE" });
    await first[Symbol.asyncDispose]();
    const { pid } = spawnSync(process.execPath, ["-e", ""]);
    const dead = { pid, host: hostname(), id: "a" };
    for (const left of [JSON.stringify(dead), "", "{}"]) {
      await writeFile(lockPath(output), left);
      const claims = await Promise.allSettled(Array.from({ length: 8 }, () => claimOutputs(paths, {})));
      const won = claims.filter((claim) => claim.status === "fulfilled");
      expect(won).toHaveLength(1);
      await won[0]!.value[Symbol.asyncDispose]();
      expect((await readdir(folder)).filter((name) => name.includes("locked"))).toEqual([]);
    }
    // Of another machine nothing is known.
    await writeFile(lockPath(output), JSON.stringify({ ...dead, host: "elsewhere" }));
    await expect(claimOutputs(paths, {})).rejects.toThrow(`process ${pid} on elsewhere`);
    await rm(lockPath(output));
  });

  it("need room on the disk", async () => {
    const paths = { output: join(folder, "a.png"), outputLatent: undefined };
    await checkSpace(paths, { numFrames: 1, height: 8, width: 8 });
    const huge = { numFrames: 1e6, height: 1e5, width: 1e5 };
    await expect(checkSpace(paths, huge)).rejects.toMatchObject({ code: "NO_SPACE", where: folder });
    expect(outputBytes(paths, { numFrames: 10, height: 10, width: 10 })).toBeGreaterThan(1000);
  });
});

describe("checkpoints", () => {
  it("are folders; known names are explained", async () => {
    expect(await chooseCheckpoint({})).toMatchObject({ name: "demo-wan", isBundled: true });
    expect(await chooseCheckpoint({ model: TINY })).toMatchObject({ name: "tiny-wan", isBundled: false });
    await expect(chooseCheckpoint({ model: "wan2.1-t2v-1.3b" })).rejects.toThrow(
      expect.objectContaining({ fix: expect.stringContaining("Download Wan-AI/") as string }),
    );
  });

  it("run as their student where they bring one, unless the options say how to sample", async () => {
    const model = join(BUNDLED_MODEL, ".");
    const [unnamed, named, without] = await Promise.all([
      chooseCheckpoint({}),
      chooseCheckpoint({ model }),
      chooseCheckpoint({ model: TINY }),
    ]);
    const path = join(BUNDLED_MODEL, "few-steps.safetensors");
    const student = { preset: "demo-wan-4step", lora: [{ path, weight: 1 }] };
    const prompt = "a red star";
    const of = (given: Record<string, unknown>, checkpoint = unnamed) =>
      withStudent(checkpoint, parseGenerateOptions({ prompt, ...given }));
    const plain = of({ height: "64" });
    expect(plain).toMatchObject({ isStudent: true, options: { ...student, height: 64, numFrames: 37 } });
    expect(plain.options.steps).toBeUndefined();
    // The same by its folder, in its own length.
    expect(of({ model }, named)).toMatchObject({ isStudent: true, options: student });
    expect(of({ model }, named).options.numFrames).toBeUndefined();
    expect(of({ preset: student.preset, numFrames: "17", negativePrompt: "red" })).toMatchObject({
      isStudent: true,
      options: { ...student, numFrames: 17 },
    });
    const sampling = {
      ...{ steps: "20", guidance: "2", guidance2: "2", dynamicGuidance: true, boundaryStep: "1" },
      ...{ negativePrompt: "red", scheduler: "UniPCMultistepScheduler", sigmas: "1,0.5", flowShift: "5" },
      ...{ stepCache: "easycache", preset: "lightx2v-4step", lora: ["x.safetensors"] },
    };
    for (const [name, value] of Object.entries(sampling)) {
      const { isStudent, options } = of({ [name]: value });
      expect(isStudent, name).toBe(false);
      expect(options.steps, name).toBe(name === "steps" ? 20 : undefined);
      expect(options.lora?.length, name).toBe(name === "lora" ? 1 : undefined);
    }
    expect(of({ model: TINY }, without)).toMatchObject({ isStudent: false });
  });

  it("are whole", async () => {
    requireWholeWeights(await inspectCheckpoint(nodeFolder(TINY)));
  });
});

describe("memory", () => {
  const info: DeviceInfo = { ...countingGpu().device.info, hardware: "software", description: "test" };
  const device = { info, math: "exact" as const };
  const folder = nodeFolder(TINY);

  it.each([
    ["maxStorageBufferBindingSize", "BINDING_TOO_LARGE"],
    ["maxBufferSize", "BUFFER_TOO_LARGE"],
  ] as const)("of one tensor beyond %s is refused before anything is loaded", async (limit, code) => {
    const inspection = await inspectCheckpoint(folder);
    const options = parseGenerateOptions({ numFrames: "81", height: "64", width: "64" });
    const small = { ...device, info: { ...info, limits: { ...info.limits, [limit]: 20_000 } } };
    await expect(checkMemory(inspection, options, small, { folder })).rejects.toMatchObject({ code });
  });

  it("is known, and refused with what would fit", async () => {
    const inspection = await inspectCheckpoint(nodeFolder(TINY));
    const options = parseGenerateOptions({ numFrames: "81", height: "64", width: "64" });
    const { peakBytes } = (await checkMemory(inspection, options, device, {
      folder,
      available: Number.POSITIVE_INFINITY,
    }))!.memory;
    expect(peakBytes).toBeGreaterThan(1e6);
    const smaller = parseGenerateOptions({ numFrames: "9", height: "64", width: "64" });
    const enough = (await checkMemory(inspection, smaller, device, { folder, available: peakBytes }))!.memory
      .peakBytes;
    expect(enough).toBeLessThanOrEqual(peakBytes);
    await expect(
      checkMemory(inspection, options, device, { folder, available: peakBytes - 1 }),
    ).rejects.toMatchObject({
      code: "NOT_ENOUGH_MEMORY",
    });
    await expect(
      checkMemory(inspection, { ...smaller, memoryBudget: enough - 1 }, device, { folder }),
    ).rejects.toMatchObject({
      code: "NOT_ENOUGH_MEMORY",
      message: expect.stringContaining("--memory-budget allows"),
    });
  });

  it("decides by itself whether blocks are streamed, and not against what was asked", async () => {
    const inspection = await inspectCheckpoint(nodeFolder(TINY));
    const options = parseGenerateOptions({ numFrames: "1", height: "16", width: "16" });
    const check = async (offload?: boolean, memoryBudget?: number) =>
      (await checkMemory(inspection, { ...options, offload, memoryBudget }, device, { folder }))!;
    expect((await check()).isOffloaded).toBe(false);
    expect((await check(true)).isOffloaded).toBe(true);
    expect((await check(undefined, 1e12)).isOffloaded).toBe(false);
    expect((await check(false, 1e12)).isOffloaded).toBe(false);
  });

  it.each([
    ["8GiB", 8 * 2 ** 30],
    ["1.5 GB", 1.5e9],
    ["500mb", 5e8],
    ["123456789", 123456789],
  ])("is given as %s", (text, bytes) => {
    expect(parseGenerateOptions({ memoryBudget: text }).memoryBudget).toBe(bytes);
  });

  it.each(["8G", "-1GB", "0", "lots", "1e9", "99999999TB", ""])("is not given as %j", (text) => {
    expect(() => parseGenerateOptions({ memoryBudget: text })).toThrow(/--memory-budget: expected an amount/);
  });
});
