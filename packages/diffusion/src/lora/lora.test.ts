/** Merging piece by piece, keys that have no place, and files that say which transformer they are for. */
import {
  encodeFloats,
  encodeSafetensors,
  type FloatDType,
  memorySource,
  openSafetensors,
  type TensorToWrite,
  widen,
} from "@lvsa/runtime";
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { LoraFile, type LoraTarget } from "./lora-file.js";
import { MergedWeights } from "./merged-weights.js";

const NAMES = { f32: "F32", f16: "F16", bf16: "BF16" } as const;
const random = seededUniform(7);

function tensor(
  shape: readonly number[],
  dtype: FloatDType = "f32",
): TensorToWrite & { values: Float32Array } {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = encodeFloats(
    Float32Array.from({ length: count }, () => random() - 0.5),
    dtype,
  );
  return { dtype: NAMES[dtype], shape, data, values: widen(data, NAMES[dtype], "x") as Float32Array };
}

function fileOf(
  tensors: Record<string, TensorToWrite>,
  metadata?: Record<string, string>,
  name = "x.safetensors",
) {
  return memorySource(encodeSafetensors(tensors, metadata), name);
}

const target: LoraTarget = {
  ...{ family: "wan", component: "transformer" },
  parameters: [
    { name: "blocks.0.attn1.to_q.weight", shape: [6, 10] },
    { name: "blocks.0.attn1.to_q.bias", shape: [6] },
    { name: "blocks.0.scale_shift_table", shape: [1, 6, 6] },
    { name: "proj_out.weight", shape: [4, 6] },
  ],
};
const pair = (prefix: string, [rows, columns]: readonly [number, number], rank = 3) => ({
  [`${prefix}.lora_A.weight`]: tensor([rank, columns]),
  [`${prefix}.lora_B.weight`]: tensor([rows, rank]),
});

describe("merged weights", () => {
  it.each(["f32", "f16", "bf16"] as const)("of %s are the same in any pieces", async (dtype) => {
    const W = tensor([6, 10], dtype);
    const other = tensor([5], dtype);
    const A = tensor([5, 10], "bf16");
    const B = tensor([6, 5], "f16");
    const alpha = tensor([]);
    const key = "diffusion_model.blocks.0.self_attn.q";
    const base = await openSafetensors(fileOf({ "blocks.0.attn1.to_q.weight": W, other }));
    const file = await LoraFile.open(
      fileOf({ [`${key}.lora_down.weight`]: A, [`${key}.lora_up.weight`]: B, [`${key}.alpha`]: alpha }),
    );
    const changes = file.changes(target, true);
    expect(changes).toHaveLength(1);
    const applied = changes.map((change) => ({ change, weight: -0.75, source: file.source }));
    const naive = W.values.map((w, i) => {
      let sum = w;
      for (let r = 0; r < 5; r++) {
        const product = B.values[Math.floor(i / 10) * 5 + r]! * A.values[r * 10 + (i % 10)]!;
        sum += ((-0.75 * alpha.values[0]!) / 5) * product;
      }
      return sum;
    });
    for (const type of ["stored", "f32"] as const) {
      const out = type === "stored" ? dtype : "f32";
      const size = out === "f32" ? 4 : 2;
      const merged = new MergedWeights(base, new Map([["blocks.0.attn1.to_q.weight", applied]]), type);
      const expected = encodeFloats(naive, out);
      const name = "blocks.0.attn1.to_q.weight";
      expect(merged.info(name)).toMatchObject({ dtype: NAMES[out], byteLength: 60 * size });
      const whole = await merged.read(name);
      // The sums are float64 here and there; their order may change the last bit before rounding.
      const [got, want] = [whole, expected].map((bytes) => widen(bytes, NAMES[out], name) as Float32Array);
      const ulp = out === "f32" ? 1e-6 : out === "f16" ? 1e-3 : 8e-3;
      for (let i = 0; i < 60; i++) expect(Math.abs(got![i]! - want![i]!)).toBeLessThanOrEqual(ulp);
      for (const chunk of [48, 96, 1000]) {
        for (const [begin, end] of [
          [0, 60],
          [12, 36],
          [24, 60],
        ] as const) {
          const pieces: number[] = [];
          let next = begin * size;
          await merged.stream(
            name,
            chunk,
            (bytes, offset) => {
              expect(offset).toBe(next);
              next += bytes.length;
              pieces.push(...bytes);
            },
            { byteOffset: begin * size, byteLength: (end - begin) * size },
          );
          expect(pieces).toEqual(Array.from(whole.subarray(begin * size, end * size)));
        }
      }
      expect(Array.from(await merged.read("other"))).toEqual(Array.from(other.data as Uint8Array));
      expect(merged.totalBytes).toBe(60 * size + base.info("other").byteLength);
      expect(merged.withPrefix("blocks.0.").info("attn1.to_q.weight").dtype).toBe(NAMES[out]);
    }
  });

  it("take the rows of a fused matrix, and halves in another order", async () => {
    const hunyuan: LoraTarget = {
      ...{ family: "hunyuan", component: "transformer" },
      parameters: ["to_q", "to_k", "to_v"]
        .map((name) => ({ name: `transformer_blocks.2.attn.${name}.weight`, shape: [4, 5] }))
        .concat([{ name: "norm_out.linear.weight", shape: [8, 5] }]),
    };
    const qkv = tensor([12, 5]);
    const swapped = tensor([8, 5]);
    const file = await LoraFile.open(
      fileOf({
        "double_blocks.2.img_attn_qkv.diff": qkv,
        "final_layer.adaLN_modulation.1.diff": swapped,
      }),
    );
    const names = hunyuan.parameters.map(({ name }) => name);
    const zeros = Object.fromEntries(
      hunyuan.parameters.map(({ name, shape }) => [
        name,
        { dtype: "F32", shape, data: new Uint8Array(4 * shape[0]! * shape[1]!) } as TensorToWrite,
      ]),
    );
    const base = await openSafetensors(fileOf(zeros));
    const changes = new Map(
      names.map((name) => [
        name,
        file
          .changes(hunyuan, true)
          .filter(({ parameter }) => parameter === name)
          .map((change) => ({ change, weight: 1, source: file.source })),
      ]),
    );
    const merged = new MergedWeights(base, changes, "f32");
    const read = async (name: string) => widen(await merged.read(name), "F32", name) as Float32Array;
    for (const [i, name] of names.slice(0, 3).entries()) {
      expect(await read(name)).toEqual(qkv.values.slice(20 * i, 20 * (i + 1)));
    }
    const last = await read(names[3]!);
    expect(last.slice(0, 20)).toEqual(swapped.values.slice(20));
    expect(last.slice(20)).toEqual(swapped.values.slice(0, 20));
  });
});

describe("keys", () => {
  it.each([
    ["of no known form", { "blocks.0.attn1.to_q.hada_w1_a": tensor([1]) }, "LORA_UNKNOWN_KEY", "hada_w1_a"],
    ["of DoRA", { "blocks.0.attn1.to_q.dora_scale": tensor([1]) }, "LORA_UNKNOWN_KEY", "dora_scale"],
    ["of no file at all", {}, "LORA_UNKNOWN_KEY", "no tensors"],
    [
      "of a bias that the model does not have",
      { "proj_out.diff_b": tensor([4]) },
      "LORA_UNKNOWN_KEY",
      "proj_out.diff_b",
    ],
    [
      "that are one part of one module twice",
      {
        "transformer.proj_out.diff": tensor([4, 6]),
        "diffusion_model.proj_out.diff": tensor([4, 6]),
      },
      "LORA_UNKNOWN_KEY",
      "same part",
    ],
    ["of an alpha alone", { "proj_out.alpha": tensor([]) }, "LORA_INCOMPLETE", "proj_out.alpha"],
    ["with too few rows", pair("proj_out", [3, 6]), "LORA_WRONG_SHAPE", "proj_out.lora_B.weight"],
    [
      "of another rank",
      { ...pair("proj_out", [4, 6]), "proj_out.lora_A.weight": tensor([2, 6]) },
      "LORA_WRONG_SHAPE",
      "lora_B",
    ],
    ["of a wrong table", { "blocks.0.diff_m": tensor([1, 2, 6]) }, "LORA_WRONG_SHAPE", "blocks.0.diff_m"],
    [
      "of a weight that is no number",
      { ...pair("proj_out", [4, 6]), "proj_out.alpha": tensor([2]) },
      "LORA_WRONG_SHAPE",
      "alpha",
    ],
  ])("%s are refused by name", async (_what, tensors, code, part) => {
    const refused = async () => (await LoraFile.open(fileOf(tensors))).changes(target, true);
    await expect(refused()).rejects.toThrow(expect.objectContaining({ code, where: "x.safetensors" }));
    await expect(refused()).rejects.toThrow(part);
  });

  it("say which transformer they are for only where a second one is named", async () => {
    const one = await LoraFile.open(fileOf(pair("transformer.proj_out", [4, 6])));
    expect(one.namesTransformers).toBe(false);
    expect(one.changes({ ...target, component: "transformer_2" }, true)).toHaveLength(1);
    expect(one.changes(target, false)).toEqual([]);
    const both = await LoraFile.open(
      fileOf({ ...pair("transformer.proj_out", [4, 6]), ...pair("transformer_2.proj_out", [4, 6], 2) }),
    );
    expect(both.namesTransformers).toBe(true);
    for (const component of ["transformer", "transformer_2"]) {
      const [change] = both.changes({ ...target, component }, component === "transformer");
      expect(change!.keys[0]).toBe(`${component}.proj_out.lora_B.weight`);
    }
    expect(() => both.requireComponents(["transformer"])).toThrow(/transformer_2\.proj_out/);
  });

  it("are weighed by the metadata's alpha, that of the module first", async () => {
    const metadata = (json: unknown) => ({ lora_adapter_metadata: JSON.stringify(json) });
    const factor = async (json: unknown) => {
      const file = await LoraFile.open(fileOf(pair("transformer.proj_out", [4, 6], 4), metadata(json)));
      return file.changes(target, true)[0]!.factor;
    };
    expect(await factor({ "transformer.lora_alpha": 8 })).toBe(2);
    expect(await factor({ "transformer.lora_alpha": 8, "transformer.use_rslora": true })).toBe(4);
    expect(await factor({ "transformer.lora_alpha": 8, "transformer.alpha_pattern": { proj_out: 1 } })).toBe(
      0.25,
    );
    expect(await factor({ "transformer.r": 4 })).toBe(1);
    expect(await factor({ lora_alpha: 8 })).toBe(2);
    // What it says of another component is not meant.
    expect(await factor({ "transformer.lora_alpha": 8, "text_encoder.lora_alpha": 2 })).toBe(2);
    const both = await LoraFile.open(
      fileOf(
        { ...pair("transformer.proj_out", [4, 6], 4), ...pair("transformer_2.proj_out", [4, 6], 4) },
        metadata({ "transformer.lora_alpha": 8, "transformer_2.lora_alpha": 2 }),
      ),
    );
    for (const [component, expected] of [
      ["transformer", 2],
      ["transformer_2", 0.5],
    ] as const)
      expect(both.changes({ ...target, component }, true)[0]!.factor).toBe(expected);
    // A file of one expert names it as any model is named.
    const low = await LoraFile.open(
      fileOf(pair("transformer.proj_out", [4, 6], 4), metadata({ "transformer.lora_alpha": 8 })),
    );
    expect(low.changes({ ...target, component: "transformer_2" }, true)[0]!.factor).toBe(2);
    for (const bad of [{ "transformer.lora_alpha": "x" }, { "transformer.use_dora": true }]) {
      await expect(factor(bad)).rejects.toThrow(expect.objectContaining({ code: "BAD_CONFIG" }));
    }
    const broken = fileOf(pair("proj_out", [4, 6]), { lora_adapter_metadata: "{" });
    await expect(LoraFile.open(broken)).rejects.toThrow(expect.objectContaining({ code: "BAD_JSON" }));
  });
});
