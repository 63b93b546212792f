/** Denoising from given embeddings, as in the `denoise` cases: no text encoder, no prompt. */
import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor } from "@lvsa/runtime/testing";
import { AutoencoderKLCogVideoX } from "../models/autoencoders/autoencoder-kl-cogvideox.js";
import { CogVideoXTransformer3DModel } from "../models/transformers/transformer-cogvideox.js";
import { denoiseCogVideoX } from "../pipelines/cogvideox/cogvideox-denoise.js";
import { rawLatents } from "../pipelines/cogvideox/cogvideox-latents.js";
import { rgbFrames } from "../pipelines/rgb-frames.js";
import { createScheduler, dynamicGuidanceScale } from "../schedulers/index.js";
import { caseTolerance } from "./case-tolerance.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, readJson, values } from "./reference-case.js";
import { expectFrames } from "./rgb-bytes.js";

/** Runs the case and compares every step and the frames. `before` may install something on the transformer. */
export async function denoiseCase(
  device: Device,
  { name, tensors, parameters, checkpoint }: OpenedCase,
  report: ParityReport,
  before: (model: CogVideoXTransformer3DModel) => Disposable | undefined = () => undefined,
  afterStep: (index: number) => void = () => {},
): Promise<void> {
  const config = (path: string) => readJson(join(checkpoint, path));
  const weights = (component: string) =>
    openWeights(nodeFolder(join(checkpoint, component)), "diffusion_pytorch_model");
  const transformer = CogVideoXTransformer3DModel.create(device, config("transformer/config.json"));
  const source = await weights("transformer");
  await transformer.load(source);
  await source.close();
  using _installed = before(transformer);

  const count = parameters.steps as number;
  const guidanceScale = parameters.guidance_scale as number;
  const useDynamicGuidance = parameters.use_dynamic_cfg === true;
  const scheduler = createScheduler(config("scheduler/scheduler_config.json"));
  scheduler.setTimesteps(count);
  report.check("timesteps", scheduler.timesteps, { max_abs: 0 });
  const scales = scheduler.timesteps.map((t) =>
    useDynamicGuidance ? dynamicGuidanceScale(guidanceScale, count, t) : guidanceScale,
  );
  // Stored as float32.
  report.check("guidance", scales, { rel_l2: 1e-7 });

  const text = (which: string) => {
    const { data, shape } = floatTensor(tensors, `${which}.text`);
    return device.upload(data, shape);
  };
  const [positive, negative] = [text("positive"), text("negative")];
  const predictions: Readonly<Record<string, string>> = {
    noise_cond: "pred_positive",
    noise_uncond: "pred_negative",
  };
  let step = 0;
  const final = await denoiseCogVideoX({
    device,
    transformer,
    scheduler,
    initial: floatTensor(tensors, "init_latents"),
    positive,
    negative,
    guidanceScale,
    useDynamicGuidance,
    // The stored noise is the step's last draw, the one that counts.
    drawNoise: () => floatTensor(tensors, `step${step}.noise`).data,
    generation: 1,
    options: {
      prompt: "",
      onTensor: (tensor, { data }) => {
        const [prefix, kind] = tensor.split(".") as [string, string];
        step = Number(prefix.replace("step", ""));
        const stage = predictions[kind];
        const group = stage ? "pred" : "latents";
        report.check(`${prefix}.${stage ?? kind}`, data, caseTolerance(parameters, group), stage ?? group);
        if (!stage) afterStep(step);
      },
    },
  });
  for (const x of [positive, negative]) x.dispose();
  transformer.dispose();

  const vaeSource = await weights("vae");
  const vae = await AutoencoderKLCogVideoX.load(device, vaeSource, config("vae/config.json"));
  await vaeSource.close();
  const raw = rawLatents(device, vae, final, parameters.additional_frames as number);
  // The case states no tolerance for bytes: one step of rounding, as the `vae` case allows.
  const tolerance = { max_abs: 1, max_fraction_differing: 0.005 };
  const frames = values(tensors, "frames_round");
  await expectFrames(`${name} frames`, rgbFrames(device, vae.decode(raw)), frames, tolerance);
  raw.dispose();
  vae.dispose();
}
