/** Denoising from given token ids, as in Cosmos 3's `denoise` cases: no tokenizer, no prompt. */
import { AutoencoderKLWan } from "../models/autoencoders/autoencoder-kl-wan.js";
import { Cosmos3OmniTransformer } from "../models/transformers/transformer-cosmos3.js";
import { scaledGuidance } from "../pipelines/guidance.js";
import { denoiseCaseOf } from "./denoise-case.js";
import { values } from "./reference-case.js";

export const denoiseCase = denoiseCaseOf({
  timestepTolerance: 1e-3,
  create: (device, config) => new Cosmos3OmniTransformer(device, config),
  setTimesteps: (scheduler, count) => scheduler.setTimesteps(count),
  guidance: ({ parameters }) => scaledGuidance(true, () => parameters.guidance_scale as number),
  conditions: async (_device, model, source, { tensors, parameters }) => {
    // The two ids that the pipeline adds are not part of the data.
    const ends = [parameters.eos_token_id as number, parameters.vision_start_id as number];
    const ids = ["positive", "negative"].map((which) => [...values(tensors, `${which}.input_ids`), ...ends]);
    const [positive, negative] = await model.understand(source, ids);
    return { positive: positive!, negative: negative! };
  },
  forward: async (
    device,
    model,
    { latents: { data, shape }, timestep, step },
    understanding,
    { parameters },
  ) => {
    using latents = device.upload(data, shape);
    return await model.forward({ latents, timestep, understanding, fps: parameters.fps as number, step });
  },
  loadVae: (device, source, config) => AutoencoderKLWan.load(device, source, config),
});
