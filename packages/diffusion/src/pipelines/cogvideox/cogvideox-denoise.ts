/** CogVideoX's denoising loop: negative prompt first, constant or dynamic guidance, a scheduler that may add noise. */
import type { Device, Tensor } from "@lvsa/runtime";
import type { CogVideoXTransformer3DModel } from "../../models/transformers/transformer-cogvideox.js";
import { dynamicGuidanceScale, type Scheduler } from "../../schedulers/index.js";
import { denoise, guide, passControl } from "../denoise.js";
import type { GenerateOptions, HostTensor } from "../video-pipeline.js";

export interface CogVideoXDenoising {
  readonly device: Device;
  readonly transformer: CogVideoXTransformer3DModel;
  /** After `setTimesteps`. */
  readonly scheduler: Scheduler;
  /** `[1, T, C, h, w]`. */
  readonly initial: HostTensor;
  /** Text embeddings `[1, L, text_embed_dim]`; without a negative one there is no guidance. */
  readonly positive: Tensor;
  readonly negative: Tensor | undefined;
  readonly guidanceScale: number;
  readonly useDynamicGuidance: boolean;
  /** One tensor of noise, shaped as the latents. */
  readonly drawNoise: () => Float32Array;
  readonly options: GenerateOptions;
  /** Changes with every clip. */
  readonly generation: number;
}

/** Runs every step of the scheduler. Returns the final latents. */
export function denoiseCogVideoX(run: CogVideoXDenoising): Promise<HostTensor> {
  const { device, transformer, scheduler, options } = run;
  const { shape } = run.initial;
  const count = scheduler.timesteps.length;

  const passes = run.negative ? 2 : 1;
  const predict = async (data: Float32Array, timestep: number, index: number, text: Tensor, pass: number) => {
    const latents = device.upload(data, shape);
    const step = { index, count, generation: run.generation };
    const output = await transformer.forward({
      latents,
      timestep,
      encoderHiddenStates: text,
      step,
      ...passControl(options, step, pass, passes),
    });
    latents.dispose();
    try {
      return await device.read(output);
    } finally {
      output.dispose();
    }
  };

  return denoise({
    device,
    scheduler,
    initial: run.initial,
    options,
    drawNoise: run.drawNoise,
    predict: async (data, timestep, index) => {
      const negative = run.negative && (await predict(data, timestep, index, run.negative, 0));
      if (negative) options.onTensor?.(`step${index}.noise_uncond`, { data: negative.slice(), shape });
      const positive = await predict(data, timestep, index, run.positive, passes - 1);
      options.onTensor?.(`step${index}.noise_cond`, { data: positive.slice(), shape });
      if (!negative) return positive;
      const scale = run.useDynamicGuidance
        ? dynamicGuidanceScale(run.guidanceScale, count, timestep)
        : run.guidanceScale;
      return guide(positive, negative, scale);
    },
  });
}
