import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AttentionCall, type AttentionModule, denseAttention } from "@lvsa/core";
import { Cosmos3OmniTransformer } from "@lvsa/diffusion/cosmos3";
import { caseTolerance } from "@lvsa/diffusion/testing-support/case-tolerance";
import { ParityReport } from "@lvsa/diffusion/testing-support/parity";
import { openCase, values } from "@lvsa/diffusion/testing-support/reference-case";
import { type Device, openWeights, type Tensor } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, readJson, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installCosmos3Lvsa } from "./install-cosmos3-lvsa.js";

interface Pattern {
  readonly T: number;
  readonly key_frame_interval: number;
  readonly global_indices: readonly number[];
  readonly attended_frames: readonly (readonly number[])[];
}

interface LvsaCase {
  readonly reference_latent_frames: number;
  readonly window_size_video_frames: number;
  readonly n_first_video_frames: number;
  readonly sparsity_scale: number;
  readonly patches_per_frame: number;
  readonly runs: Record<string, Pattern>;
}

const cases = referenceCases("cosmos3").filter(({ directory }) => {
  const file = join(directory, "case.json");
  return existsSync(file) && readJson<{ lvsa?: Partial<LvsaCase> }>(file).lvsa?.runs !== undefined;
});
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

function layerFacts(module: AttentionModule) {
  const { name, index, role, heads, keyValueHeads, headDim, scale, causal } = module;
  return { name, index, role, heads, keyValueHeads, headDim, scale, causal };
}

test("the reference folder holds a sparse Cosmos 3 case", () => {
  requireCases(cases);
});

describe.each(cases)("$name", (reference) => {
  test("patterns, attention and outputs equal the Python LVSA", async () => {
    const { tensors, parameters, checkpoint } = await openCase(reference);
    const golden = parameters.lvsa as LvsaCase;
    const before = device.memory().liveBytes;
    const folder = join(checkpoint, "transformer");
    const model = new Cosmos3OmniTransformer(device, readJson(join(folder, "config.json")));
    const source = await openWeights(nodeFolder(folder), "diffusion_pytorch_model");
    await model.load(source);
    const report = new ParityReport(`${reference.name} sparse`, tensors);
    const qkv = caseTolerance(parameters, "qkv");
    const attention = caseTolerance(parameters, "attention");
    const final = caseTolerance(parameters, "final");
    const runs = Object.keys(tensors).flatMap((name) => {
      const found = /^(x\d+)\.step(\d+)\.out$/.exec(name);
      return found ? [{ multiple: found[1]!, step: Number(found[2]) }] : [];
    });
    expect(runs.length).toBeGreaterThan(0);

    for (const { multiple, step } of runs) {
      const expected = golden.runs[`${multiple}.step${step}`]!;
      const { data, shape } = floatTensor(tensors, `${multiple}.latents`);
      const installed = installCosmos3Lvsa(model, {
        numFrames: (shape[2]! - 1) * 4 + 1,
        height: shape[3]! * 16,
        width: shape[4]! * 16,
        referenceLatentFrames: golden.reference_latent_frames,
        config: {
          windowSize: golden.window_size_video_frames,
          nFirstFrames: golden.n_first_video_frames,
          sparsityScale: golden.sparsity_scale,
        },
      });
      expect(installed.blocks).toBe(model.config.num_hidden_layers);
      expect(installed.clip.patchesPerFrame).toBe(golden.patches_per_frame);
      // What the first layer's attention made on the way: copies, read afterwards.
      const kept = new Map<string, Tensor>();
      const keep = (name: string, tensor: Tensor) => {
        const copy = device.keep(device.empty(tensor.shape, tensor.dtype));
        device.copyBytes(tensor, copy);
        kept.set(name, copy);
      };
      const hook = model.attention.addHook("spy", (call, next) => {
        const { module } = call;
        if (module.index > 0) return next(call);
        const isText = module.role === "und";
        const spy: AttentionModule = {
          ...layerFacts(module),
          project: (inner) => module.project(inner),
          attend: (...args) => module.attend(...args),
          rotate: (streams, tables) => {
            module.rotate(streams, tables);
            if (isText) return;
            keep("q", streams.query);
            keep("k", streams.key);
            keep("v", streams.value);
          },
          output: (inner, attended) => {
            if (!isText) keep(`step${step}.attn_gen`, attended.hidden);
            // Without the epilogue: the projection alone.
            const { epilogue: _, ...plain } = inner;
            const name = isText ? "proj_und" : `step${step}.proj_gen`;
            device.scope(() => keep(name, module.output(plain, attended).hiddenStates));
            return module.output(inner, attended);
          },
        };
        const spied: AttentionCall = { ...call, module: spy };
        return isText ? denseAttention(spied) : installed.processor.process(spied, denseAttention);
      });
      const ids = values(tensors, `${multiple}.input_ids`);
      const [understanding] = await model.understand(source, [ids]);
      const latents = device.upload(data, shape);
      const output = await model.forward({
        latents,
        timestep: values(tensors, `${multiple}.timestep`)[0]!,
        understanding: understanding!,
        step: { index: step, count: 4, generation: 0 },
      });
      const { pattern } = installed.processor;
      expect([...pattern.globalFrames], `${multiple} step ${step} anchors`).toEqual(expected.global_indices);
      const attended = Array.from({ length: pattern.rows }, (_, row) => [...pattern.attendedFrames(row)]);
      expect(attended, `${multiple} step ${step} frames`).toEqual(expected.attended_frames);

      const out = await device.read(output);
      report.check(`${multiple}.step${step}.out`, out, final, "out");
      // At the training length every frame is attended: LVSA is dense attention.
      if (multiple === "x1") report.check(`${multiple}.dense_out`, out, final, "out at 1x against dense");
      const context = understanding!.layer(0)!;
      report.check(`${multiple}.und_k`, await device.read(context.key), qkv, "und_k");
      report.check(`${multiple}.und_v`, await device.read(context.value), qkv, "und_v");
      for (const [name, tensor] of kept) {
        const stage = `${multiple}.${name}`;
        const limit = /^[qkv]$/.test(name) ? qkv : attention;
        if (report.has(stage)) {
          report.check(stage, await device.read(tensor), limit, name.replace(/step\d+/, "step{i}"));
        }
        tensor.dispose();
      }
      for (const tensor of [latents, output]) tensor.dispose();
      hook[Symbol.dispose]();
      installed[Symbol.dispose]();
      understanding![Symbol.dispose]();
    }
    await source.close();
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
