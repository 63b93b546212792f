/** Denoising from given embeddings, as in CogVideoX's `denoise` cases: no text encoder, no prompt. */
import { floatTensor } from "@lvsa/runtime/testing";
import { AutoencoderKLCogVideoX } from "../models/autoencoders/autoencoder-kl-cogvideox.js";
import { CogVideoXTransformer3DModel } from "../models/transformers/transformer-cogvideox.js";
import { rawLatents } from "../pipelines/cogvideox/cogvideox-latents.js";
import { scaledGuidance } from "../pipelines/guidance.js";
import { dynamicGuidanceScale } from "../schedulers/index.js";
import { denoiseCaseOf } from "./denoise-case.js";

export const denoiseCase = denoiseCaseOf({
  timestepTolerance: 0,
  create: (device, config) => new CogVideoXTransformer3DModel(device, config),
  setTimesteps: (scheduler, count) => scheduler.setTimesteps(count),
  guidance: ({ parameters }, scheduler, report) => {
    const count = parameters.steps as number;
    const guidanceScale = parameters.guidance_scale as number;
    const scaleAt = (timestep: number) =>
      parameters.use_dynamic_cfg === true
        ? dynamicGuidanceScale(guidanceScale, count, timestep)
        : guidanceScale;
    // Stored as float32.
    report.check("guidance", scheduler.timesteps.map(scaleAt), { rel_l2: 1e-7 });
    return scaledGuidance(true, ({ timestep }) => scaleAt(timestep));
  },
  conditions: async (device, _model, _source, { tensors }) => {
    const text = (which: string) => {
      const { data, shape } = floatTensor(tensors, `${which}.text`);
      return device.upload(data, shape);
    };
    return { positive: text("positive"), negative: text("negative") };
  },
  forward: async (device, model, { latents: { data, shape }, timestep, step }, text) => {
    using latents = device.upload(data, shape);
    return await model.forward({ latents, timestep, encoderHiddenStates: text, step });
  },
  loadVae: (device, source, config) => AutoencoderKLCogVideoX.load(device, source, config),
  rawLatents: (device, vae, latents, { parameters }) =>
    rawLatents(device, vae, latents, parameters.additional_frames as number),
});
