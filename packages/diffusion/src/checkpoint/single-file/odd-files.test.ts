/** Files as people have them besides the published ones: mixed types, buffers of trainers, whole pipelines in one file. */
import {
  encodeFloats,
  encodeSafetensors,
  type FloatDType,
  memoryFolder,
  type TensorToWrite,
  type WeightSource,
  widen,
} from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import {
  type FloatTensors,
  fileOf,
  originalWan,
  randomModel,
  renameAll,
} from "../../testing-support/tiny-wan-files.js";
import { inspectCheckpoint } from "../inspect-checkpoint.js";
import { openCheckpoint } from "./open-checkpoint.js";

const WAN = { num_attention_heads: 1, ffn_dim: 32, num_layers: 2, text_dim: 16, freq_dim: 16 };
const UMT5 = {
  ...{ architectures: ["UMT5EncoderModel"], model_type: "umt5", vocab_size: 40, d_model: 16, d_kv: 4 },
  ...{ d_ff: 24, num_layers: 2, num_heads: 4, feed_forward_proj: "gated-gelu" },
};
const transformer = randomModel("WanTransformer3DModel", WAN, 1);
const umt5 = randomModel("UMT5EncoderModel", UMT5, 3);
const original = originalWan(transformer);

const NAMES = { f32: "F32", f16: "F16", bf16: "BF16" } as const;
type Tensors = Record<string, TensorToWrite>;

function stored(
  tensors: FloatTensors,
  typeOf: (name: string, i: number) => FloatDType = () => "f32",
): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { shape, data }], i) => {
      const type = typeOf(name, i);
      return [name, { dtype: NAMES[type], shape, data: encodeFloats(data, type) }];
    }),
  );
}
const prefixed = (prefix: string, tensors: FloatTensors) => renameAll(tensors, [[/^/, prefix]]);
const open = (tensors: Tensors, metadata?: Record<string, string>) =>
  openCheckpoint(
    { files: [fileOf("x.safetensors", encodeSafetensors(tensors, metadata))] },
    { isPartial: true },
  );

async function floats(source: WeightSource, name: string) {
  return Float32Array.from(widen(await source.read(name), source.info(name).dtype, name));
}

/** Bit by bit: far quicker than number by number. */
function expectSame(name: string, actual: Float32Array, expected: Float32Array) {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset, byteLength);
  expect(Buffer.compare(bytes(actual), bytes(expected)), name).toBe(0);
}

/** Every tensor of the class is there, with those numbers, and no problem is known. */
async function expectWhole(
  folder: Awaited<ReturnType<typeof open>>,
  slot: string,
  model: FloatTensors,
  valuesOf: (name: string) => Float32Array | undefined = () => undefined,
  problems: readonly object[] = [],
) {
  const inspection = await inspectCheckpoint(folder);
  const component = inspection.components.find(({ name }) => name === slot)!;
  expect(component.problems, slot).toMatchObject(problems);
  const weights = (await folder.weights!(slot))!;
  for (const [name, { data }] of Object.entries(model))
    expectSame(name, await floats(weights, name), valuesOf(name) ?? data);
  await weights.close();
}

describe("a file of one component", () => {
  it("may mix f32, f16 and bf16", async () => {
    const types = ["f32", "f16", "bf16"] as const;
    for (const [prefix, names] of [
      ["", original],
      ["model.diffusion_model.", original],
      ["", transformer],
    ] as const) {
      const typeOf = (_: string, i: number) => types[i % 3]!;
      const folder = await open(stored(prefixed(prefix, names), typeOf));
      const keys = Object.keys(transformer);
      await expectWhole(folder, "transformer", transformer, (name) => {
        const type = types[keys.indexOf(name) % 3]!;
        const bytes = encodeFloats(transformer[name]!.data, type);
        return widen(bytes, NAMES[type], name) as Float32Array;
      });
    }
  });

  it("may carry buffers of trainers, which are said not to be used", async () => {
    const empty: TensorToWrite = { dtype: "U8", shape: [0], data: new Uint8Array(0) };
    const some: TensorToWrite = { dtype: "U8", shape: [5], data: new Uint8Array(5) };
    for (const names of [transformer, original]) {
      const folder = await open({
        ...stored(names),
        "blocks.0.ffn.0._extra_state": empty,
        "blocks.1.self_attn.norm_q._extra_state": some,
      });
      const message = expect.stringMatching(/^not used: [^,]+\._extra_state, [^,]+\._extra_state\.$/);
      const problems = [{ severity: "warning", message }];
      await expectWhole(folder, "transformer", transformer, () => undefined, problems);
    }
  });

  it("may have the embedding of T5 under either name, or both", async () => {
    const other = "encoder.embed_tokens.weight";
    const renamed = renameAll(umt5, [[/^shared\.weight$/, other]]);
    for (const names of [umt5, renamed, { ...umt5, [other]: umt5["shared.weight"]! }])
      for (const prefix of ["", "text_encoders.umt5xxl.transformer."]) {
        const folder = await open(stored(prefixed(prefix, names)));
        const weights = (await folder.weights!("text_encoder"))!;
        const inspection = await inspectCheckpoint(folder);
        expect(inspection.components[0]!.problems).toEqual([]);
        const name = names === renamed ? other : "shared.weight";
        expect(await floats(weights, name)).toEqual(umt5["shared.weight"]!.data);
        await weights.close();
      }
  });
});

describe("scaled fp8", () => {
  /** Codes of E4M3 for 1, -2 and 0.5. */
  const CODES = [0x38, 0xc0, 0x30];
  const VALUES = [1, -2, 0.5];
  const isMatrix = (name: string) => /attn\d\.to_[qkv]\.weight$|ffn\.net\.2\.weight$/.test(name);

  it("may leave some layers in floats, and some codes without a scale", async () => {
    const expected = new Map<string, Float32Array>();
    const tensors = Object.fromEntries(
      Object.entries(transformer).flatMap(([name, { shape, data }], i): [string, TensorToWrite][] => {
        const [own] = Object.keys(originalWan({ [name]: { shape, data } }));
        const half = encodeFloats(data, "bf16");
        if (!isMatrix(name) || i % 3 === 0) {
          expected.set(name, widen(half, "BF16", name) as Float32Array);
          return [[own!, { dtype: "BF16", shape, data: half }]];
        }
        const scale = i % 3 === 1 ? 0.37 + i : undefined;
        expected.set(
          name,
          data.map((_, at) => VALUES[at % 3]! * Math.fround(scale ?? 1)),
        );
        const codes = Uint8Array.from(data, (_, at) => CODES[at % 3]!);
        const key = own!.replace(/weight$/, "scale_weight");
        return [
          [own!, { dtype: "F8_E4M3", shape, data: codes }],
          ...(scale === undefined
            ? []
            : [[key, { dtype: "F32", shape: [], data: Float32Array.of(scale) }] as [string, TensorToWrite]]),
        ];
      }),
    );
    const marker: TensorToWrite = { dtype: "F8_E4M3", shape: [0], data: new Uint8Array(0) };
    const folder = await open({ ...tensors, scaled_fp8: marker });
    expect([...expected.keys()].filter(isMatrix)).toHaveLength(14);
    await expectWhole(folder, "transformer", transformer, (name) => expected.get(name));
  });
});

describe("a whole pipeline in one file", () => {
  const vae = randomModel("AutoencoderKLWan", { base_dim: 4 }, 2);
  const tokenizer = memoryFolder({ "tokenizer.json": "{}" }, "tokenizer");

  it.each([
    ["ComfyUI", "model.diffusion_model.", "text_encoders.umt5xxl.transformer.", "vae."],
    ["folders", "transformer.", "text_encoder.", "vae."],
    ["older", "diffusion_model.", "cond_stage_model.transformer.", "first_stage_model."],
  ])("with the prefixes of %s", async (_what, first, second, third) => {
    for (const names of [original, transformer]) {
      const bytes = encodeSafetensors(
        stored({ ...prefixed(first, names), ...prefixed(second, umt5), ...prefixed(third, vae) }, (name) =>
          name.startsWith(third) ? "f32" : "bf16",
        ),
      );
      const folder = await openCheckpoint({ files: [fileOf("all.safetensors", bytes)], tokenizer });
      const inspection = await inspectCheckpoint(folder);
      expect(inspection.components.flatMap(({ problems }) => problems)).toEqual([]);
      expect(inspection.ok).toBe(true);
      const weights = (await folder.weights!("vae"))!;
      for (const [name, { data }] of Object.entries(vae)) expectSame(name, await floats(weights, name), data);
      await weights.close();
    }
  });

  it("gives each option its part, and says what a part is where it has another's place", async () => {
    const bytes = encodeSafetensors(stored({ ...prefixed("a.", original), ...prefixed("b.", umt5) }));
    const all = fileOf("all.safetensors", bytes);
    const folder = await openCheckpoint({ transformer: all, textEncoder: all }, { isPartial: true });
    expect(folder.missing).toEqual(["vae", "tokenizer"]);
    await expect(openCheckpoint({ vae: all }, { isPartial: true })).rejects.toMatchObject({
      code: "WRONG_COMPONENT",
      message: expect.stringMatching(/Wan transformer, original names; T5 or UMT5 encoder/),
    });
  });

  it("is refused where it has tensors of nothing that is known alone", async () => {
    const bytes = encodeSafetensors(
      stored({ "unet.conv.weight": { shape: [1], data: new Float32Array(1) } }),
    );
    await expect(openCheckpoint({ files: [fileOf("x", bytes)] })).rejects.toMatchObject({
      code: "UNKNOWN_FILE",
    });
  });
});
