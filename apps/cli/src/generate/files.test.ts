import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getuid } from "node:process";
import { fileURLToPath } from "node:url";
import { inspectCheckpoint } from "@lvsa/diffusion/catalog";
import { countingGpu, type DeviceInfo } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { afterAll, describe, expect, it } from "vitest";
import { parseGenerateOptions } from "../options/generate-options.js";
import { chooseCheckpoint, requireWholeWeights } from "./checkpoint.js";
import { readLatents, writeLatents } from "./latents-file.js";
import { checkMemory } from "./memory-check.js";
import { checkOutputs, outputPaths } from "./output-check.js";

const TINY = fileURLToPath(new URL("../../models/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-files-"));
afterAll(() => rm(folder, { recursive: true }));

describe("latents", () => {
  it("come back as they were, in a folder that was missing, with nothing beside them", async () => {
    const latents = { data: Float32Array.from({ length: 6 }, (_, i) => i / 3), shape: [1, 1, 1, 2, 3] };
    const path = join(folder, "a/b/latents.safetensors");
    await writeLatents(path, latents);
    expect(await readLatents(path)).toEqual(latents);
    expect(await readdir(join(folder, "a/b"))).toEqual(["latents.safetensors"]);
  });
});

describe("outputs", () => {
  it("are a video, or latents alone when only those are asked for", () => {
    expect(outputPaths({})).toEqual({ output: "lvsa.mp4", outputLatent: undefined });
    expect(outputPaths({ outputLatent: "x" })).toEqual({ output: undefined, outputLatent: "x" });
    expect(outputPaths({ output: "a.gif", outputLatent: "x" })).toEqual({
      output: "a.gif",
      outputLatent: "x",
    });
  });

  it("are refused before the run where they can not be written", async () => {
    const check = (output?: string, outputLatent?: string) => checkOutputs({ output, outputLatent });
    await writeFile(join(folder, "file"), "");
    await expect(check(join(folder, "file/clip.png"))).rejects.toThrow("is a file");
    await expect(check(undefined, folder)).rejects.toThrow(".safetensors");
    await check(join(folder, "new/deep/clip.png"), join(folder, "new/l.safetensors"));
    if (getuid?.() === 0) return; // root may write everywhere
    await chmod(folder, 0o500);
    await expect(check(join(folder, "clip.png"))).rejects.toThrow("can not be written to");
    await chmod(folder, 0o700);
  });
});

describe("checkpoints", () => {
  it("are folders; known names are explained", async () => {
    expect(await chooseCheckpoint({})).toMatchObject({ folder: { name: TINY }, isBundled: true });
    expect(await chooseCheckpoint({ model: TINY })).toMatchObject({ name: "tiny-wan", isBundled: false });
    await expect(chooseCheckpoint({ model: "wan2.1-t2v-1.3b" })).rejects.toThrow(
      expect.objectContaining({ fix: expect.stringContaining("Download Wan-AI/") as string }),
    );
  });

  it("are whole", async () => {
    requireWholeWeights(await inspectCheckpoint(nodeFolder(TINY)));
  });
});

describe("memory", () => {
  const info: DeviceInfo = { ...countingGpu().device.info, hardware: "software", description: "test" };
  const device = { info, math: "exact" as const };

  it.each([
    ["maxStorageBufferBindingSize", "BINDING_TOO_LARGE"],
    ["maxBufferSize", "BUFFER_TOO_LARGE"],
  ] as const)("of one tensor beyond %s is refused before anything is loaded", async (limit, code) => {
    const inspection = await inspectCheckpoint(nodeFolder(TINY));
    const options = parseGenerateOptions({ numFrames: "81", height: "64", width: "64" });
    const small = { ...device, info: { ...info, limits: { ...info.limits, [limit]: 20_000 } } };
    await expect(checkMemory(inspection, options, small)).rejects.toMatchObject({ code });
  });

  it("is known, and refused with what would fit", async () => {
    const inspection = await inspectCheckpoint(nodeFolder(TINY));
    const options = parseGenerateOptions({ numFrames: "81", height: "64", width: "64" });
    const { peakBytes } = (await checkMemory(inspection, options, device, Number.POSITIVE_INFINITY))!.memory;
    expect(peakBytes).toBeGreaterThan(1e6);
    const smaller = parseGenerateOptions({ numFrames: "9", height: "64", width: "64" });
    const enough = (await checkMemory(inspection, smaller, device, peakBytes))!.memory.peakBytes;
    expect(enough).toBeLessThanOrEqual(peakBytes);
    await expect(checkMemory(inspection, options, device, peakBytes - 1)).rejects.toMatchObject({
      code: "NOT_ENOUGH_MEMORY",
    });
  });
});
