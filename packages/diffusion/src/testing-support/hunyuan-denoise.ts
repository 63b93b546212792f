/** Denoising from given embeddings, as in the `denoise` cases: no text encoders, no prompt. */
import { join } from "node:path";
import { type Device, openWeights, type Tensor } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor } from "@lvsa/runtime/testing";
import { AutoencoderKLHunyuanVideo15 } from "../models/autoencoders/autoencoder-kl-hunyuan-video15.js";
import { HunyuanVideo15Transformer3DModel } from "../models/transformers/transformer-hunyuan-video15.js";
import { denoise } from "../pipelines/denoise.js";
import { ClassifierFreeGuidance } from "../pipelines/hunyuan/classifier-free-guidance.js";
import { rgbFrames } from "../pipelines/rgb-frames.js";
import { createScheduler, hunyuanVideo15Sigmas } from "../schedulers/index.js";
import { caseTolerance } from "./case-tolerance.js";
import { validRows } from "./hunyuan-inputs.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, readJson, values } from "./reference-case.js";
import { expectFrames } from "./rgb-bytes.js";

/** Runs the case and compares every step and the frames. `before` may install something on the transformer. */
export async function denoiseCase(
  device: Device,
  { name, tensors, parameters, checkpoint }: OpenedCase,
  report: ParityReport,
  before: (model: HunyuanVideo15Transformer3DModel) => Disposable | undefined = () => undefined,
  afterStep: (index: number) => void = () => {},
): Promise<void> {
  const config = (path: string) => readJson(join(checkpoint, path));
  const weights = (component: string) =>
    openWeights(nodeFolder(join(checkpoint, component)), "diffusion_pytorch_model");
  const model = HunyuanVideo15Transformer3DModel.create(device, config("transformer/config.json"));
  const source = await weights("transformer");
  await model.load(source);
  await source.close();
  using _installed = before(model);

  const guider = ClassifierFreeGuidance.fromConfig(config("guider/guider_config.json"));
  const scheduler = createScheduler(config("scheduler/scheduler_config.json"));
  const count = parameters.steps as number;
  scheduler.setTimesteps(count, { sigmas: hunyuanVideo15Sigmas(count) });
  report.check("timesteps", scheduler.timesteps, { max_abs: 1e-3 });
  const prompt = (which: string) => ({
    text: validRows(device, tensors, `${which}.text`, `${which}.text_mask`),
    glyph: validRows(device, tensors, `${which}.glyph`, `${which}.glyph_mask`),
  });
  const prompts = { positive: prompt("positive"), negative: prompt("negative") };
  const golden = floatTensor(tensors, "init_latents");
  const predict = async (which: "positive" | "negative", data: Float32Array, t: number, index: number) => {
    const channels = model.config.in_channels;
    const input = new Float32Array((data.length / golden.shape[1]!) * channels);
    input.set(data);
    const latents = device.upload(input, [1, channels, ...golden.shape.slice(2)]);
    const output = await model.forward({
      latents,
      timestep: t,
      encoderHiddenStates: prompts[which].text!,
      encoderHiddenStates2: prompts[which].glyph,
      step: { index, count, generation: 1 },
    });
    latents.dispose();
    const prediction = await device.read(output);
    output.dispose();
    const tolerance = caseTolerance(parameters, "pred");
    report.check(`step${index}.pred_${which}`, prediction, tolerance, `pred_${which}`);
    return prediction;
  };
  const final = await denoise({
    device,
    scheduler,
    initial: golden,
    options: {
      prompt: "",
      onTensor: (stage, { data }) => {
        if (report.has(stage)) report.check(stage, data, caseTolerance(parameters, "latents"), "latents");
      },
    },
    predict: async (data, t, index) => {
      const positive = await predict("positive", data, t, index);
      const negative = await predict("negative", data, t, index);
      afterStep(index);
      return guider.combine(positive, negative);
    },
  });
  for (const { text, glyph } of Object.values(prompts)) for (const x of [text, glyph]) x?.dispose();
  model.dispose();

  const vaeSource = await weights("vae");
  const vae = await AutoencoderKLHunyuanVideo15.load(device, vaeSource, config("vae/config.json"));
  await vaeSource.close();
  const latents = device.upload(final.data, final.shape);
  const raw: Tensor = vae.denormalize(latents);
  // The case states no tolerance for bytes: one step of rounding, as the `vae` case allows.
  const tolerance = { max_abs: 1, max_fraction_differing: 0.005 };
  const frames = values(tensors, "frames_round");
  await expectFrames(`${name} frames`, rgbFrames(device, vae.decode(raw)), frames, tolerance);
  for (const x of [latents, raw]) x.dispose();
  vae.dispose();
}
