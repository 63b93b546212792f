/** Denoising from given token ids, as in Cosmos 3's `denoise` cases: no tokenizer, no prompt. */
import { join } from "node:path";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor } from "@lvsa/runtime/testing";
import { AutoencoderKLWan } from "../models/autoencoders/autoencoder-kl-wan.js";
import { Cosmos3OmniTransformer } from "../models/transformers/transformer-cosmos3.js";
import { denoise, guide } from "../pipelines/denoise.js";
import { rgbFrames } from "../pipelines/rgb-frames.js";
import { createScheduler } from "../schedulers/index.js";
import { caseTolerance } from "./case-tolerance.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, readJson, values } from "./reference-case.js";
import { expectFrames } from "./rgb-bytes.js";

/** Runs the case and compares every step and the frames. `before` may install something on the transformer. */
export async function denoiseCase(
  device: Device,
  { name, tensors, parameters, checkpoint }: OpenedCase,
  report: ParityReport,
  before: (model: Cosmos3OmniTransformer) => Disposable | undefined = () => undefined,
  afterStep: (index: number) => void = () => {},
): Promise<void> {
  const config = (path: string) => readJson(join(checkpoint, path));
  const weights = (component: string) =>
    openWeights(nodeFolder(join(checkpoint, component)), "diffusion_pytorch_model");
  const model = Cosmos3OmniTransformer.create(device, config("transformer/config.json"));
  const source = await weights("transformer");
  await model.load(source);
  using _installed = before(model);

  // The two ids that the pipeline adds are not part of the data.
  const ends = [parameters.eos_token_id as number, parameters.vision_start_id as number];
  const ids = ["positive", "negative"].map((which) => [...values(tensors, `${which}.input_ids`), ...ends]);
  const [positive, negative] = await model.understand(source, ids);
  await source.close();
  const scheduler = createScheduler(config("scheduler/scheduler_config.json"));
  const count = parameters.steps as number;
  scheduler.setTimesteps(count);
  report.check("timesteps", scheduler.timesteps, { max_abs: 1e-3 });
  const golden = floatTensor(tensors, "init_latents");
  const prompts = { positive: positive!, negative: negative! };
  const predict = async (
    which: "positive" | "negative",
    data: Float32Array,
    timestep: number,
    index: number,
  ) => {
    const latents = device.upload(data, golden.shape);
    const output = await model.forward({
      latents,
      timestep,
      understanding: prompts[which],
      fps: parameters.fps as number,
      step: { index, count, generation: 1 },
    });
    latents.dispose();
    const prediction = await device.read(output);
    output.dispose();
    report.check(
      `step${index}.pred_${which}`,
      prediction,
      caseTolerance(parameters, "pred"),
      `pred_${which}`,
    );
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
    predict: async (data, timestep, index) => {
      const first = await predict("positive", data, timestep, index);
      const second = await predict("negative", data, timestep, index);
      afterStep(index);
      return guide(first, second, parameters.guidance_scale as number);
    },
  });
  for (const understanding of Object.values(prompts)) understanding[Symbol.dispose]();
  model.dispose();

  const vaeSource = await weights("vae");
  const vae = await AutoencoderKLWan.load(device, vaeSource, config("vae/config.json"));
  await vaeSource.close();
  const latents = device.upload(final.data, final.shape);
  const raw = vae.denormalize(latents);
  // The case states no tolerance for bytes: one step of rounding, as the `pipeline` case allows.
  const tolerance = { max_abs: 1, max_fraction_differing: 0.005 };
  const frames = values(tensors, "frames_round");
  await expectFrames(`${name} frames`, rgbFrames(device, vae.decode(raw)), frames, tolerance);
  for (const x of [latents, raw]) x.dispose();
  vae.dispose();
}
