/** Denoising from given embeddings, as in HunyuanVideo's `denoise` cases: no text encoders, no prompt. */
import { join } from "node:path";
import { AutoencoderKLHunyuanVideo15 } from "../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { HunyuanVideo15Transformer3DModel } from "../models/transformers/transformer-hunyuan-video15.js";
import { ClassifierFreeGuidance } from "../pipelines/hunyuan/classifier-free-guidance.js";
import { hunyuanVideo15Sigmas } from "../schedulers/index.js";
import { denoiseCaseOf } from "./denoise-case.js";
import { validRows } from "./hunyuan-inputs.js";
import { readJson } from "./reference-case.js";

export const denoiseCase = denoiseCaseOf({
  timestepTolerance: 1e-3,
  create: (device, config) => new HunyuanVideo15Transformer3DModel(device, config),
  setTimesteps: (scheduler, count) => scheduler.setTimesteps(count, { sigmas: hunyuanVideo15Sigmas(count) }),
  guidance: ({ checkpoint }) => {
    const guider = ClassifierFreeGuidance.fromConfig(readJson(join(checkpoint, "guider/guider_config.json")));
    // The cases hold both predictions of every step.
    return { isOn: true, isOnAt: () => true, combine: (one, other) => guider.combine(one, other) };
  },
  conditions: async (device, _model, _source, { tensors }) => {
    const condition = (which: string) => {
      const text = validRows(device, tensors, `${which}.text`, `${which}.text_mask`);
      const glyph = validRows(device, tensors, `${which}.glyph`, `${which}.glyph_mask`);
      const dispose = () => {
        for (const x of [text, glyph]) x?.dispose();
      };
      return { text: text!, glyph, [Symbol.dispose]: dispose };
    };
    return { positive: condition("positive"), negative: condition("negative") };
  },
  forward: async (device, model, { latents: { data, shape }, timestep, step }, { text, glyph }) => {
    const channels = model.config.in_channels;
    const input = new Float32Array((data.length / shape[1]!) * channels);
    input.set(data);
    using latents = device.upload(input, [1, channels, ...shape.slice(2)]);
    return await model.forward({
      latents,
      timestep,
      encoderHiddenStates: text,
      encoderHiddenStates2: glyph,
      step,
    });
  },
  loadVae: (device, source, config) => AutoencoderKLHunyuanVideo15.load(device, source, config),
});
