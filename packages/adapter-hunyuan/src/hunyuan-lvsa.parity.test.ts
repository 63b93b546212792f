import { existsSync } from "node:fs";
import { join } from "node:path";
import { type AttentionCall, denseAttention, LvsaAttentionProcessor } from "@lvsa/core";
import { HunyuanVideo15Transformer3DModel } from "@lvsa/diffusion/hunyuan";
import { caseTolerance } from "@lvsa/diffusion/testing-support/case-tolerance";
import { disposeInputs, hunyuanInputs } from "@lvsa/diffusion/testing-support/hunyuan-inputs";
import { ParityReport } from "@lvsa/diffusion/testing-support/parity";
import { type Device, openWeights, type Tensor } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { readJson, readSafetensors, referenceCases, requireCases, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createHunyuanAdapter } from "./hunyuan-adapter.js";

interface Pattern {
  readonly T: number;
  readonly key_frame_interval: number;
  readonly global_indices: readonly number[];
  readonly attended_frames: readonly (readonly number[])[];
}

interface LvsaCase {
  readonly checkpoint?: string;
  readonly lvsa: {
    readonly reference_latent_frames: number;
    readonly window_size: number;
    readonly n_first_frames: number;
    readonly sparsity_scale: number;
    readonly runs: Record<string, Pattern>;
  };
  readonly tolerance: Record<string, { max_abs: number; rel_rms: number }>;
}

const cases = referenceCases("hunyuan").filter(({ directory }) => {
  const file = join(directory, "case.json");
  return existsSync(file) && readJson<Partial<LvsaCase>>(file).lvsa?.runs !== undefined;
});
let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

test("the reference folder holds a sparse HunyuanVideo case", () => {
  requireCases(cases);
});

describe.each(cases)("$name", ({ name: caseName, directory }) => {
  test("patterns, attention and outputs equal the Python LVSA with the mask kept", async () => {
    const golden = readJson<LvsaCase>(join(directory, "case.json"));
    const tensors = await readSafetensors(join(directory, "expected.safetensors"));
    const checkpoint = join(directory, golden.checkpoint ?? "checkpoint", "transformer");
    const before = device.memory().liveBytes;
    const model = new HunyuanVideo15Transformer3DModel(device, readJson(join(checkpoint, "config.json")));
    const source = await openWeights(nodeFolder(checkpoint), "diffusion_pytorch_model");
    await model.load(source);
    await source.close();
    const parameters = golden as unknown as Record<string, unknown>;
    const perLayer = caseTolerance(parameters, "per_layer", "final");
    const final = caseTolerance(parameters, "final", "out");
    const report = new ParityReport(`${caseName} sparse`, tensors);
    const adapter = createHunyuanAdapter();
    // `full` cases are unmasked: there the package and the mask-keeping form are one.
    const runs = Object.keys(tensors).flatMap((tensor) => {
      const found = /^(x\d+)\.(\w+)\.(lvsa|lvsa_mask)\.step(\d+)\.out$/.exec(tensor);
      return found ? [{ multiple: found[1]!, kind: found[2]!, mode: found[3]!, step: Number(found[4]) }] : [];
    });
    expect(runs.length).toBeGreaterThan(0);

    for (const { multiple, kind, mode, step } of runs) {
      const prefix = `${multiple}.${kind}`;
      const expected = golden.lvsa.runs[`${multiple}.step${step}`]!;
      const processor = new LvsaAttentionProcessor(adapter, {
        // The settings are in latent frames here: a temporal factor of 1 keeps them.
        temporalFactor: 1,
        referenceLatentFrames: golden.lvsa.reference_latent_frames,
        config: {
          windowSize: golden.lvsa.window_size,
          nFirstFrames: golden.lvsa.n_first_frames,
          sparsityScale: golden.lvsa.sparsity_scale,
        },
        strict: true,
      });
      const installation = adapter.installProcessor(model, processor);
      expect(installation.blocks).toBe(model.config.num_layers);
      // What the first block's attention made on the way: copies, read afterwards.
      const kept = new Map<string, Tensor>();
      const keep = (name: string, tensor: Tensor | undefined) => {
        if (!tensor) return;
        const copy = device.keep(device.empty(tensor.shape, tensor.dtype));
        device.copyBytes(tensor, copy);
        kept.set(name, copy);
      };
      const hook = model.attention.addHook("spy", (call, next) => {
        if (call.module.index > 0) return next(call);
        const { module } = call;
        const spy = Object.create(module, {
          rotate: {
            value: (...[streams, tables]: Parameters<typeof module.rotate>) => {
              module.rotate(streams, tables);
              keep("q", streams.query);
              keep("k", streams.key);
              keep("v", streams.value);
            },
          },
          project: { value: (inner: AttentionCall) => module.project(inner) },
          // What is kept here are queries before and after their rotation.
          projectRotated: { value: undefined },
          projectEncoder: {
            value: (inner: AttentionCall) => {
              const streams = module.projectEncoder?.(inner);
              keep("enc_q", streams?.query);
              keep("enc_k", streams?.key);
              keep("enc_v", streams?.value);
              return streams;
            },
          },
          output: {
            value: (...[inner, attended]: Parameters<typeof module.output>) => {
              keep(`step${step}.attn_video`, attended.hidden);
              keep("attn_encoder", attended.encoder);
              // Without epilogues: the projections alone.
              const { epilogue: _a, encoderEpilogue: _b, ...plain } = inner;
              device.scope(() => {
                const projected = module.output(plain, attended);
                keep(`step${step}.proj_video`, projected.hiddenStates);
                keep("proj_encoder", projected.encoderHiddenStates);
              });
              return module.output(inner, attended);
            },
          },
        }) as typeof module;
        return processor.process({ ...call, module: spy }, denseAttention);
      });
      const inputs = hunyuanInputs(device, tensors, prefix);
      const output = await model.forward({ ...inputs, step: { index: step, count: 4, generation: 0 } });
      const { pattern } = processor;
      expect(pattern!.rows).toBe(expected.T);
      expect([...pattern!.globalFrames], `${prefix} step ${step} anchors`).toEqual(expected.global_indices);
      const attended = Array.from({ length: pattern!.rows }, (_, row) => [...pattern!.attendedFrames(row)]);
      expect(attended, `${prefix} step ${step} frames`).toEqual(expected.attended_frames);
      report.check(`${prefix}.${mode}.step${step}.out`, await device.read(output), final, "out");
      for (const [name, tensor] of kept) {
        const stage = `${prefix}.${mode}.${name}`;
        const actual = await device.read(tensor);
        tensor.dispose();
        if (!report.has(stage)) continue;
        // Rows of masked tokens come last in the data, and do not exist here.
        const rows = Array.from(tensors[stage]!.data).slice(0, actual.length);
        expect(rows.length, stage).toBe(actual.length);
        report.compare(stage, actual, rows, perLayer, name.replace(/step\d+/, "step{i}"));
      }
      if (multiple === "x1") {
        // At the training length every frame is attended: LVSA is dense attention.
        report.check(`${prefix}.dense_out`, await device.read(output), final, "out at 1x against dense");
      }
      output.dispose();
      disposeInputs(inputs);
      hook[Symbol.dispose]();
      installation[Symbol.dispose]();
      processor.dispose();
    }
    model.dispose();
    expect(device.memory().liveBytes).toBe(before);
    report.finish();
  });
});
