import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AttentionCall, denseAttention, LvsaAttentionProcessor } from "@lvsa/core";
import { type CogVideoXAttention, CogVideoXTransformer3DModel } from "@lvsa/diffusion/cogvideox";
import { caseTolerance } from "@lvsa/diffusion/testing-support/case-tolerance";
import { ParityReport } from "@lvsa/diffusion/testing-support/parity";
import { type Device, openWeights, type Tensor } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import {
  floatTensor,
  readJson,
  readSafetensors,
  referenceCases,
  requireCases,
  testDevice,
} from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCogVideoXAdapter } from "./cogvideox-adapter.js";

interface Pattern {
  readonly T: number;
  readonly global_indices: readonly number[];
  readonly attended_frames: readonly (readonly number[])[];
}

interface LvsaCase {
  readonly checkpoint?: string;
  readonly lvsa: {
    readonly reference_frames: number;
    readonly window_size: number;
    readonly n_first_frames: number;
    readonly sparsity_scale: number;
    readonly runs: Record<string, Pattern>;
  };
}

const cases = referenceCases("cogvideox").filter(({ directory }) => {
  const file = join(directory, "case.json");
  return existsSync(file) && readJson<Partial<LvsaCase>>(file).lvsa?.runs !== undefined;
});
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds a sparse CogVideoX case", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ name: caseName, directory }) => {
  test("patterns, attention and outputs equal the Python LVSA, and dense attention at 1x", async () => {
    const golden = readJson<LvsaCase>(join(directory, "case.json"));
    const { lvsa } = golden;
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    const checkpoint = join(directory, golden.checkpoint ?? "checkpoint", "transformer");
    const before = device.memory().liveBytes;
    const model = new CogVideoXTransformer3DModel(device, readJson(join(checkpoint, "config.json")));
    const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
    await model.load(source);
    await source.close();
    const parameters = golden as unknown as Record<string, unknown>;
    const final = caseTolerance(parameters, "final", "out");
    const report = new ParityReport(`${caseName} sparse`, tensors);
    const adapter = createCogVideoXAdapter();
    const upload = (name: string) => {
      const { data, shape } = floatTensor(tensors, name);
      return device.upload(data, shape);
    };
    const runs = Object.keys(tensors).flatMap((tensor) => {
      const found = /^(x\d+)\.step(\d+)\.out$/.exec(tensor);
      return found ? [{ multiple: found[1]!, step: Number(found[2]) }] : [];
    });
    expect(runs.length).toBeGreaterThan(0);

    for (const { multiple, step } of runs) {
      const expected = lvsa.runs[`${multiple}.step${step}`]!;
      const processor = new LvsaAttentionProcessor(adapter, {
        // The settings are in token frames here: a temporal factor of 1 keeps them.
        temporalFactor: 1,
        referenceLatentFrames: lvsa.reference_frames,
        config: {
          windowSize: lvsa.window_size,
          nFirstFrames: lvsa.n_first_frames,
          sparsityScale: lvsa.sparsity_scale,
        },
        strict: true,
      });
      const installation = adapter.installProcessor(model, processor);
      expect(installation.blocks).toBe(model.config.num_layers);
      const kept = new Map<string, Tensor>();
      const keep = (name: string, tensor: Tensor | undefined) => {
        if (!tensor) return;
        const copy = device.keep(device.empty(tensor.shape, tensor.dtype));
        device.copyBytes(tensor, copy);
        kept.set(name, copy);
      };
      const hook = model.attention.addHook("spy", (call, next) => {
        if (call.module.index > 0) return next(call);
        const module = spied(call.module as CogVideoXAttention, device, step, keep);
        return processor.process({ ...call, module }, denseAttention);
      });
      const [latents, text] = [upload(`${multiple}.hidden_states`), upload(`${multiple}.text`)];
      const output = await model.forward({
        latents,
        timestep: floatTensor(tensors, `${multiple}.timestep`).data[0]!,
        encoderHiddenStates: text,
        step: { index: step, count: 4, generation: 0 },
      });
      const { pattern } = processor;
      expect(pattern!.rows).toBe(expected.T);
      expect([...pattern!.globalFrames], `${multiple} step ${step} anchors`).toEqual(expected.global_indices);
      const attended = Array.from({ length: pattern!.rows }, (_, row) => [...pattern!.attendedFrames(row)]);
      expect(attended, `${multiple} step ${step} frames`).toEqual(expected.attended_frames);
      const values = await device.read(output);
      report.check(`${multiple}.step${step}.out`, values, final, "out");
      // At the training length every frame is attended: LVSA is dense attention.
      if (multiple === "x1") report.check(`${multiple}.dense_out`, values, final, "out at 1x against dense");
      for (const [name, tensor] of kept) {
        const stage = `${multiple}.${name}`;
        const actual = await device.read(tensor);
        tensor.dispose();
        if (!report.has(stage)) continue;
        const isProjection = /^(enc_)?[qkv]$/.test(name);
        const tolerance = caseTolerance(parameters, isProjection ? "qkv" : "attention");
        report.check(stage, actual, tolerance, name.replace(/step\d+/, "step{i}"));
      }
      for (const t of [output, latents, text]) t.dispose();
      hook[Symbol.dispose]();
      installation[Symbol.dispose]();
      processor.dispose();
    }
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});

/** The layer, telling `keep` what it projects, rotates and attends, under the golden names. */
function spied(
  module: CogVideoXAttention,
  device: Device,
  step: number,
  keep: (name: string, tensor: Tensor | undefined) => void,
): CogVideoXAttention {
  return Object.create(module, {
    project: { value: (call: AttentionCall) => module.project(call) },
    // What is kept here are queries before and after their rotation.
    projectRotated: { value: undefined },
    projectEncoder: {
      value: (call: AttentionCall) => {
        const streams = module.projectEncoder(call);
        keep("enc_q", streams?.query);
        keep("enc_k", streams?.key);
        keep("enc_v", streams?.value);
        return streams;
      },
    },
    rotate: {
      value: (...[streams, tables]: Parameters<typeof module.rotate>) => {
        module.rotate(streams, tables);
        keep("q", streams.query);
        keep("k", streams.key);
        keep("v", streams.value);
      },
    },
    output: {
      value: (...[call, attended]: Parameters<typeof module.output>) => {
        keep(`step${step}.attn_video`, attended.hidden);
        keep("attn_encoder", attended.encoder);
        // Without epilogues: the projections alone.
        const { epilogue: _video, encoderEpilogue: _text, ...plain } = call;
        device.scope(() => {
          const projected = module.output(plain, attended);
          keep(`step${step}.proj_video`, projected.hiddenStates);
          keep("proj_encoder", projected.encoderHiddenStates);
        });
        return module.output(call, attended);
      },
    },
  }) as CogVideoXAttention;
}
