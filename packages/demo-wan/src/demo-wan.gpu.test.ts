import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Engine } from "@lvsa/diffusion";
import { readCheckpointSettings } from "@lvsa/diffusion/catalog";
import { WanPipeline } from "@lvsa/diffusion/wan";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, readSafetensors, relativeL2, testDevice } from "@lvsa/runtime/testing";
import { expect, test } from "vitest";
import { DEMO_PROMPTS, DEMO_WAN, DEMO_WAN_FEW_STEPS } from "./index.js";

const folder = fileURLToPath(DEMO_WAN);
const fixture = (name: string) => join(import.meta.dirname, "../../../fixtures/demo-world", name);

test("is less than 12 MB, with its student", () => {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  expect(files.length).toBeGreaterThan(10);
  expect(bytes).toBeLessThan(12e6);
});

test("says its training length and settings", async () => {
  const device = await testDevice();
  using pipeline = await WanPipeline.fromPretrained(nodeFolder(folder), { device });
  const said = JSON.parse(readFileSync(join(folder, "lvsa.json"), "utf8")) as Record<string, number>;
  expect(pipeline.geometry).toMatchObject({
    referenceLatentFrames: said.reference_latent_frames,
    lvsa: { windowSize: said.window_size, nFirstFrames: said.n_first_frames },
  });
  expect(pipeline.defaults).toMatchObject({ numFrames: 17, height: 64, width: 64, maxSequenceLength: 32 });
  device.dispose();
});

// Written by training/demo-wan/sample.py from this folder: the modules that the model was trained with, in f32.
test("has the latents that its training code has", async () => {
  const golden = await readSafetensors(fixture("sample.safetensors"));
  const device = await testDevice();
  using pipeline = await WanPipeline.fromPretrained(nodeFolder(folder), { device, precision: "f32" });
  const { latents, frames } = await pipeline.generate({
    prompt: DEMO_PROMPTS[0]!,
    seed: 7,
    numInferenceSteps: 6,
  });
  const error = relativeL2(latents.data, floatTensor(golden, "latents").data);
  console.log(`latents after 6 steps: relative L2 ${error.toExponential(1)} against PyTorch`);
  // Both f32 with other orders of sums; six guided steps magnify 1e-6 a little.
  expect(error).toBeLessThan(1e-4);
  let last: Uint8Array | undefined;
  for await (const frame of frames) last = frame;
  // Previews have the model's colours: eight channels say most, and not all, of what the decoder makes of them.
  const preview = (await pipeline.latentPreview()).picture(latents, 6);
  expect(preview.trueColours).toBe(true);
  let squares = 0;
  for (let cell = 0; cell < 64; cell++) {
    const [x, y] = [8 * (cell % 8), 8 * Math.floor(cell / 8)];
    for (let c = 0; c < 3; c++) {
      let mean = 0;
      for (let p = 0; p < 64; p++) mean += last![((y + Math.floor(p / 8)) * 64 + x + (p % 8)) * 3 + c]! / 64;
      squares += (preview.data[((preview.frames - 1) * 64 + cell) * 4 + c]! - mean) ** 2;
    }
  }
  const rms = Math.sqrt(squares / (64 * 3));
  console.log(`preview: RMS error ${rms.toFixed(1)} of 255 against decoded pixels`);
  // Over clips that were not fitted it was 27 to 44; pictures of arbitrary colours are at 65 and above.
  expect(rms).toBeLessThan(50);
  const pixels = floatTensor(golden, "last_frame").data;
  const area = 64 * 64;
  let worst = 0;
  for (let i = 0; i < area; i++)
    for (let c = 0; c < 3; c++)
      worst = Math.max(worst, Math.abs(last![3 * i + c]! - 127.5 * (pixels[c * area + i]! + 1)));
  // Half a step of 8-bit rounding, and what latents that differ by 1e-5 make of it.
  expect(worst).toBeLessThan(1);
  device.dispose();
});

// Written by the same program with --lora: factors merged there in f32, and its own Euler steps.
test("has the student's latents that the training code has", async () => {
  const golden = await readSafetensors(fixture("few-steps.safetensors"));
  const device = await testDevice();
  const options = { device, precision: "f32", fewSteps: true, registered: false } as const;
  using engine = await Engine.open(nodeFolder(folder), options);
  const clip = { prompt: DEMO_PROMPTS[0]!, seed: 7 };
  const { latents, settings } = await engine.generate(clip);
  expect(settings).toMatchObject({
    ...{ preset: DEMO_WAN_FEW_STEPS.preset, num_inference_steps: 4, guidance_scale: 1 },
    loras: "few-steps.safetensors:1 (transformer)",
  });
  const error = relativeL2(latents.data, floatTensor(golden, "latents").data);
  console.log(`the student's latents: relative L2 ${error.toExponential(1)} against PyTorch`);
  // Four steps in f32 with other orders of sums.
  expect(error).toBeLessThan(1e-4);
  // The model's steps are not the student's, nor are other presets.
  for (const other of [{ numInferenceSteps: 20 }, { guidanceScale: 3 }, { preset: "lightx2v-4step" }])
    await expect(engine.generate({ ...clip, ...other })).rejects.toMatchObject({ code: "BAD_OPTION" });
  // It is the checkpoint's own, and what the package names.
  const { fewSteps } = await readCheckpointSettings(nodeFolder(folder));
  expect(fewSteps).toEqual({ lora: "few-steps.safetensors", preset: DEMO_WAN_FEW_STEPS.preset });
  expect(join(folder, fewSteps!.lora)).toBe(fileURLToPath(DEMO_WAN_FEW_STEPS.lora));
  await expect(
    Engine.open(nodeFolder(join(folder, "../../../fixtures/tiny-wan")), options),
  ).rejects.toMatchObject({ code: "BAD_OPTION" });
  device.dispose();
});
