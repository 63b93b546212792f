/** Denoising from what a case gives instead of prompts, for every family: the loop, the comparison, the frames. */
import { join } from "node:path";
import { type Device, openWeights, type Tensor, type WeightSource } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor } from "@lvsa/runtime/testing";
import { hostLatentFrames, type LatentFrames } from "../models/autoencoders/latent-frames.js";
import { denoise, type StepInput } from "../pipelines/denoise.js";
import type { Guidance } from "../pipelines/guidance.js";
import { rgbFrames } from "../pipelines/rgb-frames.js";
import type { HostTensor } from "../pipelines/video-pipeline.js";
import { createScheduler, type Scheduler } from "../schedulers/index.js";
import { caseTolerance } from "./case-tolerance.js";
import type { ParityReport } from "./parity.js";
import { type OpenedCase, readJson, values } from "./reference-case.js";
import { expectFrames } from "./rgb-bytes.js";

interface Loadable {
  load(source: WeightSource): Promise<void>;
  dispose(): void;
}

interface Decoder {
  prepare?(raw: LatentFrames, options: object): Promise<LatentFrames>;
  decode(raw: LatentFrames): Iterable<Tensor>;
  denormalize(latents: Tensor): Tensor;
  dispose(): void;
}

/** What differs between families. */
export interface DenoiseFamily<Model extends Loadable, Vae extends Decoder, Condition extends Disposable> {
  create(device: Device, config: unknown): Model;
  setTimesteps(scheduler: Scheduler, count: number): void;
  guidance(opened: OpenedCase, scheduler: Scheduler, report: ParityReport): Guidance;
  /** What the case gives in place of a prompt. */
  conditions(
    device: Device,
    model: Model,
    source: WeightSource,
    opened: OpenedCase,
  ): Promise<{ positive: Condition; negative: Condition }>;
  forward(
    device: Device,
    model: Model,
    input: StepInput,
    condition: Condition,
    opened: OpenedCase,
  ): Promise<Tensor>;
  loadVae(device: Device, source: WeightSource, config: unknown): Promise<Vae>;
  /** Default: `denormalize`. */
  rawLatents?(device: Device, vae: Vae, latents: HostTensor, opened: OpenedCase): LatentFrames;
  /** Largest difference of timesteps. */
  readonly timestepTolerance: number;
}

export type DenoiseCase<Model> = (
  device: Device,
  opened: OpenedCase,
  report: ParityReport,
  /** May install something on the transformer. */
  before?: (model: Model) => Disposable | undefined,
  afterStep?: (index: number) => void,
) => Promise<void>;

const PREDICTIONS: Readonly<Record<string, string>> = {
  noise_cond: "pred_positive",
  noise_uncond: "pred_negative",
};

/** Runs a case and compares every step and the frames. */
export function denoiseCaseOf<Model extends Loadable, Vae extends Decoder, Condition extends Disposable>(
  family: DenoiseFamily<Model, Vae, Condition>,
): DenoiseCase<Model> {
  return async (device, opened, report, before = () => undefined, afterStep = () => {}) => {
    const { name, tensors, parameters, checkpoint } = opened;
    const config = (path: string) => readJson(join(checkpoint, path));
    const weights = (component: string) =>
      openWeights(nodeFolder(join(checkpoint, component)), "diffusion_pytorch_model");
    const model = family.create(device, config("transformer/config.json"));
    const source = await weights("transformer");
    await model.load(source);
    using _installed = before(model);
    const scheduler = createScheduler(config("scheduler/scheduler_config.json"));
    family.setTimesteps(scheduler, parameters.steps as number);
    report.check("timesteps", scheduler.timesteps, { max_abs: family.timestepTolerance });
    const { positive, negative } = await family.conditions(device, model, source, opened);
    await source.close();

    let step = 0;
    const final = await denoise({
      ...{ device, scheduler, clip: { positive, negative }, generation: 1 },
      initial: floatTensor(tensors, "init_latents"),
      guidance: family.guidance(opened, scheduler, report),
      predictor: async () => ({
        ...{ name: "transformer", precision: "f32" },
        forward: (input, condition) => family.forward(device, model, input, condition, opened),
      }),
      // The stored noise is the step's last draw, the one that counts.
      drawNoise: () => floatTensor(tensors, `step${step}.noise`).data,
      options: {
        onTensor: (tensor, { data }) => {
          const [prefix, kind] = tensor.split(".") as [string, string];
          step = Number(prefix.replace("step", ""));
          const stage = PREDICTIONS[kind] ?? kind;
          const group = PREDICTIONS[kind] ? "pred" : "latents";
          const key = `${prefix}.${stage}`;
          if (report.has(key) || PREDICTIONS[kind]) {
            report.check(key, data, caseTolerance(parameters, group), stage);
          }
          if (group === "latents") afterStep(step);
        },
      },
    });
    for (const condition of [positive, negative]) condition[Symbol.dispose]();
    model.dispose();

    const vaeSource = await weights("vae");
    const vae = await family.loadVae(device, vaeSource, config("vae/config.json"));
    await vaeSource.close();
    const raw =
      family.rawLatents?.(device, vae, final, opened) ??
      hostLatentFrames(device, final, (latents) => vae.denormalize(latents));
    const prepared = vae.prepare ? await vae.prepare(raw, {}) : raw;
    // The case states no tolerance for bytes: one step of rounding, as the `vae` case allows.
    const tolerance = { max_abs: 1, max_fraction_differing: 0.005 };
    const frames = values(tensors, "frames_round");
    await expectFrames(`${name} frames`, rgbFrames(device, vae.decode(prepared)), frames, tolerance);
    vae.dispose();
  };
}
