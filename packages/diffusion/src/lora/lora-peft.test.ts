/** What PEFT's metadata, its names and its biases do to weights, against the formulas in plain float64. */
import {
  encodeFloats,
  encodeSafetensors,
  isLvsaError,
  memorySource,
  openSafetensors,
  type TensorToWrite,
  widen,
} from "@lvsa/runtime";
import { seededUniform } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { LoraFile, type LoraTarget } from "./lora-file.js";
import { MergedWeights } from "./merged-weights.js";
import { compileNamePatterns } from "./name-patterns.js";

const random = seededUniform(11);
const MODULES = [
  "blocks.0.attn1.to_q",
  "blocks.0.attn1.to_out.0",
  "blocks.12.attn2.to_q",
  "proj_out",
] as const;
const [ROWS, COLUMNS, RANK] = [6, 10, 4];
const target: LoraTarget = {
  ...{ family: "wan", component: "transformer" },
  parameters: MODULES.flatMap((name) => [
    { name: `${name}.weight`, shape: [ROWS, COLUMNS] },
    { name: `${name}.bias`, shape: [ROWS] },
  ]),
};

const uniform = (count: number) => Float32Array.from({ length: count }, () => random() - 0.5);
const f32 = (values: Float32Array, shape: readonly number[]): TensorToWrite => ({
  ...{ dtype: "F32", shape, data: encodeFloats(values, "f32") },
});

interface Factors {
  readonly A: Float32Array;
  readonly B: Float32Array;
  readonly bias: Float32Array;
}
const factors = new Map<string, Factors>(
  MODULES.map((name) => [name, { A: uniform(RANK * COLUMNS), B: uniform(ROWS * RANK), bias: uniform(ROWS) }]),
);
const base = new Map(
  target.parameters.map(({ name, shape }) => [name, uniform(shape.reduce((a, b) => a * b, 1))]),
);

/** A LoRA of all modules. */
function lora(
  key: (module: string) => string,
  options: {
    readonly metadata?: Record<string, unknown>;
    readonly adapter?: string;
    readonly bias?: boolean;
    readonly alpha?: TensorToWrite;
    readonly more?: Record<string, TensorToWrite>;
  } = {},
) {
  const { metadata, adapter = "", bias, alpha, more } = options;
  const tensors: Record<string, TensorToWrite> = { ...more };
  for (const [name, { A, B, bias: added }] of factors) {
    tensors[`${key(name)}.lora_A${adapter}.weight`] = f32(A, [RANK, COLUMNS]);
    tensors[`${key(name)}.lora_B${adapter}.weight`] = f32(B, [ROWS, RANK]);
    if (bias) tensors[`${key(name)}.lora_B${adapter}.bias`] = f32(added, [ROWS]);
    if (alpha) tensors[`${key(name)}.alpha`] = alpha;
  }
  const header = metadata && { lora_adapter_metadata: JSON.stringify(metadata) };
  return memorySource(encodeSafetensors(tensors, header), "x.safetensors");
}

async function merged(file: Parameters<typeof LoraFile.open>[0], weight = 1) {
  const tensors = target.parameters.map(({ name, shape }) => [name, f32(base.get(name)!, shape)] as const);
  const source = await openSafetensors(memorySource(encodeSafetensors(Object.fromEntries(tensors)), "base"));
  const opened = await LoraFile.open(file);
  const changes = opened.changes(target, true).map((change) => ({ change, weight, source: opened.source }));
  const of = (name: string) => changes.filter(({ change }) => change.parameter === name);
  const weights = new MergedWeights(
    source,
    new Map(target.parameters.map(({ name }) => [name, of(name)])),
    "f32",
  );
  return async (name: string) => widen(await weights.read(name), "F32", name) as Float32Array;
}

/** W + s B A and b + s b_B, where `s` is the scale that a module has. */
async function expectMerged(
  file: Parameters<typeof LoraFile.open>[0],
  scale: (module: string) => number,
  hasBias = false,
) {
  for (const weight of [1, -0.75]) {
    const read = await merged(file, weight);
    for (const [name, { A, B, bias }] of factors) {
      const s = weight * scale(name);
      const matrix = await read(`${name}.weight`);
      for (let i = 0; i < matrix.length; i++) {
        const [row, column] = [Math.floor(i / COLUMNS), i % COLUMNS];
        let want = base.get(`${name}.weight`)![i]!;
        for (let r = 0; r < RANK; r++) want += s * B[row * RANK + r]! * A[r * COLUMNS + column]!;
        // A rounding to f32 of values up to 8.
        expect(Math.abs(matrix[i]! - want), `${name} ${i}`).toBeLessThanOrEqual(1e-6);
      }
      const vector = await read(`${name}.bias`);
      for (let i = 0; i < ROWS; i++) {
        const want = base.get(`${name}.bias`)![i]! + (hasBias ? s * bias[i]! : 0);
        expect(Math.abs(vector[i]! - want), `${name} bias ${i}`).toBeLessThanOrEqual(1e-6);
      }
    }
  }
}

const diffusers = (module: string) => `transformer.${module}`;
const said = (settings: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`transformer.${name}`, value]));

describe("PEFT's settings", () => {
  it.each<[string, Record<string, unknown>, (module: string) => number]>([
    ["alpha", { lora_alpha: 6, r: RANK }, () => 1.5],
    ["alpha of nothing", { lora_alpha: 0, r: RANK }, () => 0],
    ["the root of the rank", { lora_alpha: 6, use_rslora: true, rank_pattern: { ".*": RANK } }, () => 3],
    [
      "names after a dot, of which the first that fits counts",
      { lora_alpha: 4, alpha_pattern: { to_q: 2, "blocks.12.attn2.to_q": 8, "0": 1 } },
      (module) => (module.endsWith("to_q") ? 0.5 : module.endsWith(".0") ? 0.25 : 1),
    ],
    [
      "whole names as diffusers writes them",
      { lora_alpha: 4, alpha_pattern: { "^proj_out": 2, "^to_q": 16 } },
      (module) => (module === "proj_out" ? 0.5 : 1),
    ],
    [
      "regular expressions",
      {
        lora_alpha: 4,
        alpha_pattern: { "blocks\\.\\d{2}\\.attn[12]\\.to_(q|k|v)": 2, "attn1\\..*|proj_.*": 8 },
      },
      (module) => (module.startsWith("blocks.12") ? 0.5 : 2),
    ],
    [
      "no part of a word",
      { lora_alpha: 4, alpha_pattern: { out: 8, _q: 8, "to_.": 12, "to\\.q": 16, "to.q": 2 } },
      (module) => (module.endsWith("to_q") ? 3 : 1),
    ],
    [
      "a transposed matrix, which linear layers do not have",
      { lora_alpha: 8, fan_in_fan_out: true },
      () => 2,
    ],
    ["ways to begin", { lora_alpha: 8, init_lora_weights: "gaussian", eva_config: {} }, () => 2],
  ])("%s", async (_what, settings, scale) => {
    await expectMerged(lora(diffusers, { metadata: said(settings) }), scale);
  });

  it.each<[string, Record<string, unknown>, string, string]>([
    ["use_dora", { use_dora: true }, "BAD_CONFIG", "use_dora"],
    ["use_qalora", { use_qalora: true }, "BAD_CONFIG", "use_qalora"],
    ["arrow_config", { arrow_config: { top_k: 3 } }, "BAD_CONFIG", "arrow_config"],
    ["pissa", { init_lora_weights: "pissa_niter_16" }, "BAD_CONFIG", "pissa_niter_16"],
    ["another rank", { lora_alpha: 4, r: 8 }, "LORA_WRONG_SHAPE", "says 8"],
    [
      "another rank of a pattern",
      { lora_alpha: 4, r: RANK, rank_pattern: { "attn\\d\\.to_q": 16 } },
      "LORA_WRONG_SHAPE",
      "to_q.lora_A.weight has rank 4, lora_adapter_metadata says 16",
    ],
    ["a rank of nothing", { r: 0 }, "BAD_CONFIG", "r:"],
    ["a broken pattern", { alpha_pattern: { "to_(q": 4 } }, "BAD_CONFIG", "to_(q"],
    ["a reference back", { alpha_pattern: { "(.)\\1": 4 } }, "BAD_CONFIG", "alpha_pattern"],
    [
      "hundreds of expressions",
      { alpha_pattern: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`.*${i}`, 1])) },
      "BAD_CONFIG",
      "101 patterns, 101 of them",
    ],
    ["a very long pattern", { alpha_pattern: { ["a".repeat(501)]: 4 } }, "BAD_CONFIG", "501|500"],
  ])("%s is refused", async (_what, settings, code, part) => {
    const run = async () => {
      const file = await LoraFile.open(lora(diffusers, { metadata: said(settings) }));
      return file.changes(target, true);
    };
    await expect(run()).rejects.toThrow(expect.objectContaining({ code, where: "x.safetensors" }));
    await expect(run()).rejects.toThrow(new RegExp(part.replace(/[()[\]\\.]/g, "\\$&")));
  });

  it("fan_in_fan_out is said to have no effect", async () => {
    const open = (settings: Record<string, unknown>) =>
      LoraFile.open(lora(diffusers, { metadata: said(settings) }));
    expect((await open({ fan_in_fan_out: true })).notes).toEqual([expect.stringMatching("fan_in_fan_out")]);
    expect((await open({ fan_in_fan_out: false })).notes).toEqual([]);
  });

  it("an alpha that lies in another file is said to be missing", async () => {
    const peft = (module: string) => `base_model.model.${module}`;
    const notes = async (key: typeof peft, options = {}) => (await LoraFile.open(lora(key, options))).notes;
    expect(await notes(peft)).toEqual([expect.stringMatching("adapter_config.json")]);
    expect(await notes(peft, { metadata: { lora_alpha: 8 } })).toEqual([]);
    expect(await notes(diffusers)).toEqual([]);
  });

  it("thousands of names of modules are told apart", async () => {
    const names = Array.from({ length: 4000 }, (_, i) => [`^blocks\\.${i}\\.attn1.to_q`, i] as const);
    const patterns = await compileNamePatterns(Object.fromEntries(names), "alpha_pattern", "x");
    for (const i of [0, 17, 3999])
      expect(patterns.find(({ matches }) => matches(`blocks.${i}.attn1.to_q`))?.value).toBe(i);
    expect(patterns.some(({ matches }) => matches("blocks.4000.attn1.to_q"))).toBe(false);
    expect(patterns.some(({ matches }) => matches("blocksx1.attn1.to_q"))).toBe(false);
  });

  it.each(["[]", "null", "3", '"x"'])("%s is no metadata", async (text) => {
    const tensors = { "proj_out.diff": f32(uniform(ROWS * COLUMNS), [ROWS, COLUMNS]) };
    const file = memorySource(encodeSafetensors(tensors, { lora_adapter_metadata: text }), "x");
    await expect(LoraFile.open(file)).rejects.toThrow(expect.objectContaining({ code: "BAD_CONFIG" }));
  });

  it("patterns that other engines never finish are matched at once", async () => {
    const [pattern] = await compileNamePatterns({ "(a+)+$|(a|aa)+b|(.*)*x": 1 }, "alpha_pattern", "x");
    expect(pattern!.matches("a".repeat(400))).toBe(true);
    expect(pattern!.matches(`${"a".repeat(400)}!`)).toBe(false);
  });
});

describe("keys", () => {
  it.each<[string, (module: string) => string, string]>([
    ["PEFT's prefix", (module) => `base_model.model.${module}`, ""],
    ["PEFT's prefix before diffusers'", (module) => `base_model.model.transformer.${module}`, ""],
    ["an adapter's name", diffusers, ".default"],
    ["another adapter's name", diffusers, ".my_style-2"],
    ["kohya's prefix", (module) => `lora_unet_${module.replaceAll(".", "_")}`, ""],
    ["LyCORIS' prefix", (module) => `lycoris_${module.replaceAll(".", "_")}`, ""],
  ])("%s", async (_what, key, adapter) => {
    await expectMerged(lora(key, { adapter, bias: true }), () => 1, true);
  });

  it("biases of B have the factor of the product", async () => {
    await expectMerged(lora(diffusers, { bias: true, metadata: said({ lora_alpha: 2 }) }), () => 0.5, true);
  });

  it.each<[TensorToWrite["dtype"], readonly number[], ArrayBufferView]>([
    ["F16", [], encodeFloats(Float32Array.of(2), "f16")],
    ["BF16", [1], encodeFloats(Float32Array.of(2), "bf16")],
    ["F64", [1, 1], Float64Array.of(2)],
    ["I32", [], Int32Array.of(2)],
    ["I64", [1], BigInt64Array.of(2n)],
    ["U8", [], Uint8Array.of(2)],
  ])("alpha as %s %j", async (dtype, shape, values) => {
    const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    await expectMerged(lora(diffusers, { alpha: { dtype, shape, data } }), () => 0.5);
  });

  const one = f32(Float32Array.of(1), [1]);
  it.each<[string, string]>([
    ["transformer.proj_out.lora_magnitude_vector", "of DoRA"],
    ["lora_unet_proj_out.dora_scale", "of DoRA"],
    ["lora_unet_proj_out.hada_w1_a", "of LoHa"],
    ["diffusion_model.proj_out.lokr_w1", "of LoKr"],
    ["lora_unet_proj_out.oft_blocks", "of OFT"],
    ["lora_unet_proj_out.lora_mid.weight", "core between the factors"],
    ["text_encoder.encoder.block.0.layer.0.SelfAttention.q.lora_A.weight", "for a text encoder"],
    ["text_encoders.umt5.block.0.q.lora_down.weight", "for a text encoder"],
    ["lora_te1_encoder_block_0_q.alpha", "for a text encoder"],
    ["base_model.model.text_encoder.x.lora_B.bias", "for a text encoder"],
    ["transformer.blocks.0.norm1.modules_to_save.weight", "of no known form"],
  ])("%s is refused %s", async (key, part) => {
    const file = lora(diffusers, { more: { [key]: one } });
    await expect(LoraFile.open(file)).rejects.toThrow(expect.objectContaining({ code: "LORA_UNKNOWN_KEY" }));
    await expect(LoraFile.open(lora(diffusers, { more: { [key]: one } }))).rejects.toThrow(part);
  });

  it("two adapters in one file, and a bias without its matrix, are refused", async () => {
    const module = "transformer.proj_out.lora_B";
    const second = lora(diffusers, { more: { [`${module}.second.weight`]: f32(uniform(24), [ROWS, RANK]) } });
    const file = await LoraFile.open(second);
    expect(() => file.changes(target, true)).toThrow(expect.objectContaining({ code: "LORA_UNKNOWN_KEY" }));
    const bias = encodeSafetensors({ [`${module}.bias`]: f32(uniform(ROWS), [ROWS]) });
    const lonely = await LoraFile.open(memorySource(bias, "x"));
    expect(() => lonely.changes(target, true)).toThrow(expect.objectContaining({ code: "LORA_INCOMPLETE" }));
  });
});

it("thousands of seeded mutations of a file load or end in a named error", async () => {
  const seed = 20261128;
  console.log(`LoRA mutations: seed ${seed}`);
  const below = (
    (uniformOf) => (count: number) =>
      Math.floor(uniformOf() * count)
  )(seededUniform(seed));
  const settings = { lora_alpha: 4, r: RANK, alpha_pattern: { "attn\\d\\.to_[qk]": 2, proj_out: 1 } };
  const source = lora(diffusers, { metadata: said(settings), bias: true });
  const whole = await source.read(0, source.size);
  // The header: its numbers are few, and what follows are weights of any value.
  const headerEnd = 8 + Number(new DataView(whole.buffer, whole.byteOffset).getBigUint64(0, true));
  let refused = 0;
  for (let round = 0; round < 1500; round++) {
    const bytes = whole.slice(0, below(6) === 0 ? below(whole.length) : whole.length);
    for (let i = 0; i <= below(3) && bytes.length > 0; i++)
      bytes[below(Math.min(headerEnd, bytes.length))] = below(3) === 0 ? below(256) : 32 + below(95);
    try {
      const file = await LoraFile.open(memorySource(bytes, "x.safetensors"));
      file.changes(target, true);
    } catch (error) {
      expect(isLvsaError(error), `seed ${seed}, round ${round}: ${String(error)}`).toBe(true);
      refused += 1;
    }
  }
  expect(refused).toBeGreaterThan(500);
});
