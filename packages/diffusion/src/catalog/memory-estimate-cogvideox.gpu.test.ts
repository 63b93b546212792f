/** The memory estimate against what the pool counts while CogVideoX's autoencoder decodes. */
import { type Device, encodeSafetensors, memoryFolder, openWeights } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AutoencoderKLCogVideoX } from "../models/autoencoders/autoencoder-kl-cogvideox.js";
import { findKnownModel } from "./known-models.js";
import { getModelClass } from "./model-classes.js";
import { elementCount } from "./parameter-list.js";
import { planGeneration } from "./plan-generation.js";

// The real model's widths in proportion, so that the widest place is the same.
const VAE = { block_out_channels: [16, 32, 32, 64], layers_per_block: 2, norm_num_groups: 8 };
const CLASS = "AutoencoderKLCogVideoX";
const known = findKnownModel("cogvideox-5b")!;
const model = {
  ...known,
  components: { ...known.components, vae: { className: CLASS, config: VAE, storedDType: "f32" as const } },
};

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

// 3 latent frames are one chunk of an odd number, 2 one of an even number.
test.each([
  { latentFrames: 3, numFrames: 9 },
  { latentFrames: 2, numFrames: 5 },
])("fits decoding of $latentFrames latent frames", async ({ latentFrames, numFrames }) => {
  const modelClass = getModelClass(CLASS);
  const entries = modelClass.parameters(VAE).map(({ name, shape }) => {
    const data = new Uint8Array(4 * elementCount(shape));
    return [name, { dtype: "F32" as const, shape, data }] as const;
  });
  const file = { "model.safetensors": encodeSafetensors(Object.fromEntries(entries)) };
  const source = await openWeights(memoryFolder(file), "model");
  const vae = await AutoencoderKLCogVideoX.load(device, source, VAE, {
    only: (n) => n.startsWith("decoder."),
  });
  await source.close();
  const shape = [1, 16, latentFrames, 8, 8];
  const latents = device.upload(new Float32Array(elementCount(shape)), shape);
  device.resetPeakMemory();
  for (const frame of vae.decode(latents)) frame.dispose();
  const measured = device.memory().peakBytes;
  latents.dispose();
  vae.dispose();

  const plan = planGeneration({ model, numFrames, height: 64, width: 64, guidanceScale: 1 });
  const { items } = plan.memory.phases.find(({ name }) => name === "decoding")!;
  const sum = (which: (name: string) => boolean) =>
    items.filter(({ name }) => which(name)).reduce((total, { bytes }) => total + bytes, 0);
  // The encoder stays away, and so does the transformer.
  const decoderBytes = entries
    .filter(([name]) => name.startsWith("decoder."))
    .reduce((total, [, { data }]) => total + data.length, 0);
  const estimated = decoderBytes + sum((name) => /decoder|frames/.test(name));
  // The pool rounds sizes up by up to an eighth, and some small tensors are not listed.
  expect(measured / estimated, items.map(({ name, bytes }) => `${name} ${bytes}`).join()).toBeGreaterThan(
    0.85,
  );
  expect(measured / estimated).toBeLessThan(1.15);
});
