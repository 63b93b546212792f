import { existsSync } from "node:fs";
import { join } from "node:path";
import { LvsaAttentionProcessor, type LvsaProcessorOptions, riflexFrequencies } from "@lvsa/core";
import { WanTransformer3DModel } from "@lvsa/diffusion/wan";
import { type Device, openWeights } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  readJson,
  readSafetensors,
  referenceCases,
  relativeL2,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWanAdapter } from "./wan-adapter.js";

interface RunConfig {
  readonly window: number;
  readonly n_first: number;
  readonly kfi: number | "auto" | null;
  readonly expand: boolean;
  readonly scale: number;
}

interface LvsaCase {
  readonly checkpoint: string;
  readonly parameters: {
    readonly reference_frames: number;
    readonly configs: Record<string, RunConfig>;
    readonly timestep: number;
    readonly mismatch_built_for: number;
    readonly mismatch_config: string;
    readonly tokens_per_frame: number;
  };
  readonly tensors: Readonly<Record<string, { readonly meaning: string }>>;
  readonly tolerances: { readonly float32_compute: { readonly single_pass: { readonly rel_l2: number } } };
}

interface Patterns {
  readonly runs: Record<
    string,
    { readonly attended_frames: Record<string, number[]>; readonly same_as_step?: number }
  >;
  readonly riflex: { readonly k: number; readonly s: number; readonly training_length: number };
}

const cases = referenceCases("wan").filter(({ directory }) => existsSync(join(directory, "patterns.json")));
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds a sparse Wan case", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ directory }) => {
  test("sparse transformer outputs and patterns equal the Python LVSA", async () => {
    const golden = readJson<LvsaCase>(join(directory, "case.json"));
    const patterns = readJson<Patterns>(join(directory, "patterns.json"));
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    const { parameters } = golden;
    const limit = golden.tolerances.float32_compute.single_pass.rel_l2;
    const checkpoint = join(directory, golden.checkpoint, "transformer");
    const model = new WanTransformer3DModel(device, readJson(join(checkpoint, "config.json")));
    const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
    await model.load(source);
    await source.close();
    const text = floatTensor(tensors, "prompt_embeds");
    const embeds = device.upload(text.data, text.shape);
    const worst = { relative: 0, count: 0 };

    const forward = async (latentsName: string): Promise<Float32Array> => {
      const { data, shape } = floatTensor(tensors, latentsName);
      const latents = device.upload(data, shape);
      const out = await model.forward({
        latents,
        timestep: parameters.timestep,
        encoderHiddenStates: embeds,
      });
      latents.dispose();
      const values = await device.read(out);
      out.dispose();
      return values;
    };
    const compare = (name: string, actual: Float32Array) => {
      const error = relativeL2(actual, floatTensor(tensors, name).data);
      worst.relative = Math.max(worst.relative, error);
      worst.count += 1;
      expect(error, name).toBeLessThan(limit);
    };
    const adapter = createWanAdapter();
    const makeProcessor = (config: RunConfig, extra: Partial<LvsaProcessorOptions> = {}) =>
      new LvsaAttentionProcessor(adapter, {
        // The settings are in latent frames here: a temporal factor of 1 keeps them.
        temporalFactor: 1,
        referenceLatentFrames: parameters.reference_frames,
        config: {
          windowSize: config.window,
          nFirstFrames: config.n_first,
          ...(config.kfi === "auto"
            ? { autoKeyframes: true }
            : { keyFrameInterval: config.kfi, autoKeyframes: false }),
          rotateKeyframes: false,
          expandWindow: config.expand,
          sparsityScale: config.scale,
        },
        ...extra,
      });
    const attended = (p: LvsaAttentionProcessor) =>
      Object.fromEntries(
        Array.from({ length: p.pattern!.rows }, (_, row) => [
          String(row),
          [...p.pattern!.attendedFrames(row)],
        ]),
      );

    /** The settings of a run, by the name in its description. */
    const configOf = (run: string | undefined, named: RegExp): RunConfig => {
      const name = named.exec(golden.tensors[`${run}.output`]?.meaning ?? "")?.[1];
      const config = name === undefined ? undefined : parameters.configs[name];
      if (!config) throw new Error(`no settings for ${run}: ${golden.tensors[`${run}.output`]?.meaning}`);
      return config;
    };

    // 1. Dense
    for (const name of Object.keys(tensors).filter((n) => /^T\d+\.dense\.output$/.test(n))) {
      compare(name, await forward(name.replace("dense.output", "latents")));
    }
    // 2. Every configuration and step
    for (const [run, expected] of Object.entries(patterns.runs)) {
      const found = /^(T\d+)\.(\w+)\.step(\d+)$/.exec(run);
      if (!found) continue;
      const [, length, config, step] = found as unknown as [string, string, string, string];
      const processor = makeProcessor(parameters.configs[config]!);
      const installation = adapter.installProcessor(model, processor);
      expect(installation.blocks).toBe(model.config.num_layers);
      processor.setStep(Number(step));
      const output = await forward(`${length}.latents`);
      expect(attended(processor), run).toEqual(expected.attended_frames);
      const stored =
        expected.same_as_step === undefined ? run : run.replace(/\d+$/, String(expected.same_as_step));
      compare(`${stored}.output`, output);
      installation[Symbol.dispose]();
      processor.dispose();
    }
    // 3. Settings changed while it runs, in the order of the data
    const controls = Object.keys(patterns.runs).filter((run) => /^T\d+\.control\./.test(run));
    const controlled = configOf(controls[0], /the '(\w+)' processor/);
    const control = makeProcessor(controlled);
    const installed = adapter.installProcessor(model, control);
    for (const run of controls) {
      const found = /^(T\d+)\.control\.(window_?|scale)(\w*\.?\w*)$/.exec(run);
      if (!found) continue;
      const [, length, what, value] = found as unknown as [string, string, string, string];
      if (what === "scale") control.setSparsityScale(Number(value));
      else control.setWindowSize(value === "back" ? controlled.window : Number(value));
      const output = await forward(`${length}.latents`);
      expect(attended(control), run).toEqual(patterns.runs[run]!.attended_frames);
      compare(`${run}.output`, output);
    }
    installed[Symbol.dispose]();
    control.dispose();
    // 4. Another length than the processor was made for runs dense, and says so once
    const lines: string[] = [];
    const fixed = makeProcessor(parameters.configs[parameters.mismatch_config]!, {
      clip: { latentFrames: parameters.mismatch_built_for, patchesPerFrame: parameters.tokens_per_frame },
      log: (line) => lines.push(line),
    });
    using _mismatch = adapter.installProcessor(model, fixed);
    compare("mismatch.output", await forward("mismatch.latents"));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("[LVSA-FALLBACK] origin=wan reason=geometry_mismatch");
    _mismatch[Symbol.dispose]();
    // 5. RIFLEx
    if (tensors["riflex.dense.output"]) {
      const T = tensors["riflex.rope_cos"]!.shape[0]!;
      const { k, s, training_length } = patterns.riflex;
      model.temporalFrequencies = (f) =>
        riflexFrequencies({ temporalDim: 2 * f.length, k, scale: s, trainingLength: training_length });
      compare("riflex.dense.output", await forward(`T${T}.latents`));
      const processor = makeProcessor(configOf("riflex.sparse", /config (\w+)/));
      using _sparse = adapter.installProcessor(model, processor);
      compare("riflex.sparse.output", await forward(`T${T}.latents`));
      processor.dispose();
    }
    console.log(`sparse outputs (${worst.count}): worst rel L2 ${worst.relative.toExponential(1)}`);
    embeds.dispose();
    model.dispose();
  });
});
