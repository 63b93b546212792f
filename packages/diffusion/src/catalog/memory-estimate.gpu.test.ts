/** The memory estimate against what the pool counts while Wan's transformer and autoencoder run. */
import { encodeSafetensors, memoryFolder, openWeights, type WeightSource } from "@lvsa/runtime";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoencoderKLWan } from "../models/autoencoders/autoencoder-kl-wan.js";
import { WanTransformer3DModel } from "../models/transformers/transformer-wan.js";
import { findKnownModel } from "./known-models.js";
import type { MemoryPhase } from "./memory-estimate.js";
import { getModelClass } from "./model-classes.js";
import type { ModelDescription } from "./model-description.js";
import { elementCount } from "./parameter-list.js";
import { planGeneration } from "./plan-generation.js";

// Wide enough for the items of the estimate to outweigh the small tensors that it leaves out.
const TRANSFORMER = {
  num_attention_heads: 8,
  attention_head_dim: 24,
  ffn_dim: 768,
  num_layers: 2,
  text_dim: 64,
};
const VAE = { base_dim: 16, num_res_blocks: 2 };
const model: ModelDescription = {
  ...findKnownModel("wan2.1-t2v-1.3b")!,
  components: {
    transformer: { className: "WanTransformer3DModel", config: TRANSFORMER, storedDType: "bf16" },
    vae: { className: "AutoencoderKLWan", config: VAE, storedDType: "f32" },
  },
};

type Device = Awaited<ReturnType<typeof testDevice>>;
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

/** Weights that are all zero, in the number format of the description. */
async function weights(name: "transformer" | "vae"): Promise<WeightSource> {
  const { className, config, storedDType } = model.components[name]!;
  const entries = getModelClass(className)
    .parameters(config)
    .map(({ name: tensor, shape }) => {
      const bytes = elementCount(shape) * (storedDType === "f32" ? 4 : 2);
      const dtype = storedDType === "f32" ? ("F32" as const) : ("BF16" as const);
      return [tensor, { dtype, shape, data: new Uint8Array(bytes) }] as const;
    });
  return openWeights(
    memoryFolder({ "model.safetensors": encodeSafetensors(Object.fromEntries(entries)) }),
    "model",
  );
}

/**
 * Measured over estimated. The pool rounds sizes up by up to an eighth, and some small tensors are not listed; more
 * than listed items can not be missing, or the ratio leaves this range.
 */
function expectClose(measured: number, phase: MemoryPhase | undefined): void {
  const ratio = measured / phase!.bytes;
  expect(ratio).toBeGreaterThan(0.9);
  expect(ratio).toBeLessThan(1.2);
}

describe("memory estimate", () => {
  const plan = planGeneration({ model, numFrames: 17, height: 128, width: 128, guidanceScale: 1 });
  const phase = (name: MemoryPhase["name"]) => plan.memory.phases.find((one) => one.name === name);

  it("fits denoising", async () => {
    const { config } = model.components.transformer!;
    const transformer = WanTransformer3DModel.create(device, config);
    await transformer.load(await weights("transformer"));
    const shape = plan.grid.latentShape;
    const latents = device.upload(new Float32Array(elementCount(shape)), shape);
    const text = device.upload(new Float32Array(512 * 64), [1, 512, 64]);
    device.resetPeakMemory();
    const output = transformer.forward({ latents, timestep: 500, encoderHiddenStates: text });
    await device.read(output);
    expectClose(device.memory().peakBytes, phase("denoising"));
    for (const one of [output, latents, text, transformer]) one.dispose();
  });

  it("fits decoding", async () => {
    const modelClass = getModelClass("AutoencoderKLWan");
    const vae = await AutoencoderKLWan.load(device, await weights("vae"), modelClass.parseConfig(VAE));
    // Three latent frames: the cache is full after the second.
    const shape = [1, 16, 3, 16, 16];
    const latents = device.upload(new Float32Array(elementCount(shape)), shape);
    device.resetPeakMemory();
    for (const chunk of vae.decode(latents)) chunk.dispose();
    expectClose(device.memory().peakBytes, phase("decoding"));
    latents.dispose();
    vae.dispose();
  });
});
