/** Quantized weights against plain twins: the same numbers, bit for bit. */
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { nodeFolder } from "../../node/file-source.js";
import { decodeFloats, encodeFloats } from "../../tensor/dtype.js";
import { seededNormal } from "../../testing/random.js";
import { memorySource } from "../byte-source.js";
import { memoryFolder } from "../folder.js";
import { openWeights } from "../open-weights.js";
import { openSafetensors } from "../safetensors-weights.js";
import { encodeSafetensors, type TensorToWrite } from "../safetensors-writer.js";
import type { WeightSource } from "../weight-source.js";
import { widen } from "../widen.js";
import { LAYOUTS, quantize, valueOfCode } from "./quantized-layouts.js";

const FIXTURE = fileURLToPath(
  new URL("../../../../../fixtures/reference/wan/wan22-ti2v-5b/checkpoint/transformer", import.meta.url),
);
const BASE = "diffusion_pytorch_model";
const f32 = (shape: number[], ...values: number[]): TensorToWrite => ({
  dtype: "F32",
  shape,
  data: Float32Array.from(values),
});

/** A component's folder of one file. */
function open(
  tensors: Record<string, TensorToWrite>,
  { config, metadata }: { config?: unknown; metadata?: Record<string, string> } = {},
  options: Parameters<typeof openWeights>[2] = {},
): Promise<WeightSource> {
  return openWeights(
    memoryFolder({
      [`${BASE}.safetensors`]: encodeSafetensors(tensors, metadata),
      ...(config === undefined ? {} : { "config.json": JSON.stringify(config) }),
    }),
    BASE,
    options,
  );
}

async function read(weights: WeightSource, name: string): Promise<Float32Array> {
  return widen(await weights.read(name), weights.info(name).dtype, name) as Float32Array;
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => "loaded",
    (error: { code: string; message: string; where?: string; fix?: string }) =>
      error.where && error.fix ? `${error.code}: ${error.message}` : `no place or fix: ${error.message}`,
  );

describe("a tiny checkpoint in each layout", () => {
  const matrices = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  beforeAll(async () => {
    const weights = await openWeights(nodeFolder(FIXTURE), BASE);
    for (const name of weights.names().filter((one) => /^blocks\.0\..*weight$/.test(one)))
      matrices.set(name, { shape: weights.info(name).shape, values: await read(weights, name) });
    // Blocks that are cut at both edges, and a convolution.
    matrices.set("edges.weight", { shape: [150, 140], values: seededNormal(150 * 140, 1) });
    await weights.close();
  });

  for (const [title, layout] of Object.entries(LAYOUTS)) {
    it(title, async () => {
      const tensors: Record<string, TensorToWrite> = {
        scaled_fp8: { dtype: "F8_E4M3", shape: [0], data: new Uint8Array() },
      };
      const expected = new Map<string, Float32Array>();
      let count = 0;
      for (const [name, { shape, values }] of matrices) {
        const isBlocked = /block/.test(title);
        if (shape.length < 2 || (isBlocked && shape.length > 2)) continue;
        const twin = quantize(name, shape, values, layout);
        Object.assign(tensors, twin.quantized);
        expected.set(name, twin.plain[name]!.values);
        count++;
      }
      expect(count).toBeGreaterThan(4);
      const stated = { quantization_config: { quant_method: "compressed-tensors", format: "int-quantized" } };
      const weights = await open(tensors, layout.isStated ? { config: stated } : {});
      expect(weights.names().sort()).toEqual([...expected.keys()].sort());
      for (const [name, values] of expected) {
        expect(weights.info(name)).toMatchObject({
          dtype: "F32",
          shape: matrices.get(name)!.shape,
          byteLength: values.byteLength,
          stored: { dtype: layout.dtype, byteLength: values.length },
        });
        expect(await read(weights, name), name).toEqual(values);
      }
      // In pieces, from the middle: a range and small chunks see the scales of their own places.
      const values = expected.get("edges.weight")!;
      const pieces: number[] = [];
      await weights.stream(
        "edges.weight",
        100,
        (chunk, at) => {
          expect(chunk.length).toBeLessThanOrEqual(100);
          expect(at).toBe((1001 + pieces.length) * 4);
          pieces.push(...new Float32Array(chunk.slice().buffer));
        },
        { byteOffset: 4004, byteLength: 4 * 3000 },
      );
      expect(Float32Array.from(pieces)).toEqual(values.slice(1001, 4001));
      expect(weights.totalBytes).toBe([...expected.values()].reduce((sum, one) => sum + one.byteLength, 0));
    });
  }
});

describe("tensors of any kind", () => {
  const codes = Uint8Array.from({ length: 256 }, (_, code) => code);

  it("read all 256 codes of a cast as the numbers that they are", async () => {
    for (const dtype of ["F8_E4M3", "F8_E5M2"] as const) {
      const weights = await open({ "norm.bias": { dtype, shape: [256], data: codes } });
      expect(weights.info("norm.bias")).toMatchObject({ dtype: "BF16", byteLength: 512 });
      const values = await read(weights, "norm.bias");
      for (const code of codes) {
        const magnitude = code & 127;
        if (magnitude > (dtype === "F8_E4M3" ? 126 : 124)) expect(values[code]).toBeNaN();
        else if (dtype === "F8_E5M2" && magnitude === 124)
          expect(Math.abs(values[code]!)).toBe(Number.POSITIVE_INFINITY);
        else expect(values[code], `${dtype} ${code}`).toBe(valueOfCode(code, dtype));
      }
    }
  });

  it("scales biases and tables under their own names", async () => {
    const weights = await open({
      "a.bias": { dtype: "F8_E4M3", shape: [2], data: Uint8Array.of(0x38, 0xb8) },
      "a.bias_scale": f32([], 0.25),
      "a.weight": { dtype: "F8_E4M3", shape: [2, 1], data: Uint8Array.of(0x38, 0x40) },
      "a.weight_scale": f32([1], 3),
      "blocks.0.scale_shift_table": { dtype: "F8_E4M3", shape: [1, 2], data: Uint8Array.of(0x38, 0x40) },
    });
    expect(weights.names().sort()).toEqual(["a.bias", "a.weight", "blocks.0.scale_shift_table"]);
    expect(await read(weights, "a.bias")).toEqual(Float32Array.of(0.25, -0.25));
    expect(await read(weights, "a.weight")).toEqual(Float32Array.of(3, 6));
    expect(await read(weights, "blocks.0.scale_shift_table")).toEqual(Float32Array.of(1, 2));
  });

  it("leaves out what concerns activations, markers, and scales of one beside plain weights", async () => {
    const weights = await open({
      scaled_fp8: { dtype: "F8_E4M3", shape: [2], data: new Uint8Array(2) },
      "a.weight": { dtype: "F8_E4M3", shape: [1, 1], data: Uint8Array.of(0x40) },
      "a.scale_weight": f32([1], 0.5),
      "a.scale_input": f32([1], 7),
      "a.output_scale": f32([1], 7),
      "a.comfy_quant": {
        dtype: "U8",
        shape: [26],
        data: new TextEncoder().encode('{"format":"float8_e4m3fn"}'),
      },
      "b.weight": f32([1, 1], 5),
      "b.scale_weight": f32([1], 1),
      "b.input_scale": f32([], 2),
      ids: { dtype: "I64", shape: [1], data: BigInt64Array.of(2n ** 40n) },
    });
    expect(weights.names().sort()).toEqual(["a.weight", "b.weight", "ids"]);
    expect(await read(weights, "a.weight")).toEqual(Float32Array.of(1));
    expect(() => weights.info("a.scale_weight")).toThrow('no tensor "a.scale_weight"');
    expect(weights.withPrefix("a.").names()).toEqual(["weight"]);
  });

  it("rounds to the type that was asked for, and says what does not fit", async () => {
    const matrix = { dtype: "F8_E4M3", shape: [1, 2], data: Uint8Array.of(0x3b, 0x7e) } as const;
    for (const [scaledDType, dtype] of [
      ["F16", "f16"],
      ["BF16", "bf16"],
    ] as const) {
      const weights = await open(
        { "a.weight": matrix, "a.weight_scale": f32([1], 0.1) },
        {},
        { scaledDType },
      );
      const scale = Math.fround(0.1);
      const rounded = encodeFloats([Math.fround(1.375 * scale), Math.fround(448 * scale)], dtype);
      expect(await read(weights, "a.weight")).toEqual(decodeFloats(rounded, dtype));
    }
    const large = await open(
      { "a.weight": matrix, "a.weight_scale": f32([1], 1000) },
      {},
      { scaledDType: "F16" },
    );
    expect(await refusal(large.read("a.weight"))).toMatch(
      /^UNSUPPORTED_DTYPE: element 1 of "a.weight" is 448000/,
    );
  });

  it("takes the size of blocks from the configuration", async () => {
    const tensors = {
      "a.weight": { dtype: "F8_E4M3", shape: [5, 1], data: new Uint8Array(5).fill(0x38) },
      "a.weight_scale_inv": f32([2, 1], 2, 3),
    } as const;
    const config = (rows: number) => ({
      quantization_config: { quant_method: "fp8", weight_block_size: [rows, 1] },
    });
    expect(await read(await open(tensors, { config: config(3) }), "a.weight")).toEqual(
      Float32Array.of(2, 2, 2, 3, 3),
    );
    expect(await refusal(open(tensors, { config: config(2) }))).toContain(
      "2 scales for 5 rows in blocks of 2",
    );
  });

  it("leaves plain weights as they are", async () => {
    const file = encodeSafetensors({ a: f32([1], 1) });
    const source = await openSafetensors(memorySource(file));
    expect((await open({ a: f32([1], 1) })).constructor).toBe(source.constructor);
  });
});

describe("what can not be read is refused by name", () => {
  const u8 = (...shape: number[]): TensorToWrite => ({
    dtype: "U8",
    shape,
    data: new Uint8Array(shape.reduce((a, b) => a * b, 1)),
  });
  const i8 = (...shape: number[]) => ({ ...u8(...shape), dtype: "I8" }) as TensorToWrite;
  const f8 = (...shape: number[]) => ({ ...u8(...shape), dtype: "F8_E4M3" }) as TensorToWrite;
  const plain = { "a.weight": f32([1, 1], 1) };

  const configs: readonly (readonly [unknown, RegExp])[] = [
    [
      { quant_method: "bitsandbytes", load_in_4bit: true, bnb_4bit_quant_type: "nf4" },
      /bitsandbytes \(4 bit, "nf4"\)/,
    ],
    [{ quant_method: "bitsandbytes", load_in_8bit: true }, /bitsandbytes \(8 bit\)/],
    [{ load_in_8bit: true }, /bitsandbytes \(8 bit\)/],
    [{ quant_method: "gptq", bits: 4 }, /"gptq"/],
    [{ quant_method: "awq" }, /"awq"/],
    [{ quant_method: "torchao" }, /"torchao"/],
    [{ quant_method: "a-method-of-tomorrow" }, /"a-method-of-tomorrow"/],
    [{ bits: 3 }, /an unnamed method/],
    ["int4", /an unnamed method/],
    [{ quant_method: "compressed-tensors", format: "pack-quantized" }, /compressed-tensors.*pack-quantized/],
    [{ quant_method: "compressed-tensors", transform_config: { config_groups: {} } }, /rotation/],
    [{ quant_method: "modelopt", quant_algo: "NVFP4" }, /modelopt.*NVFP4/],
    [{ quant_method: "quanto", weights_dtype: "int4" }, /quanto.*int4/],
    [{ quant_method: "fp8", weight_block_size: [0, 128] }, /blocks of \[0,128\]/],
  ];
  for (const [config, message] of configs) {
    it(`config.json: ${JSON.stringify(config)}`, async () => {
      const said = await refusal(open(plain, { config: { quantization_config: config } }));
      expect(said).toMatch(/^UNSUPPORTED_QUANTIZATION: /);
      expect(said).toMatch(message);
    });
  }

  const files: readonly (readonly [string, Record<string, TensorToWrite>, RegExp])[] = [
    [
      "bitsandbytes nf4",
      { "a.weight": u8(8, 1), "a.weight.quant_state.bitsandbytes__nf4": u8(3) },
      /bitsandbytes \(4 bit\)/,
    ],
    ["NVFP4", { "a.weight": u8(8, 4), "a.weight_scale": f8(8, 1), "a.weight_scale_2": f32([], 1) }, /NVFP4/],
    ["NVFP4 without its second scale", { "a.weight": u8(8, 4), "a.weight_scale": f8(8, 1) }, /NVFP4/],
    ["MXFP8", { "a.weight": f8(8, 32), "a.weight_scale": u8(8, 1) }, /MX format/],
    [
      "GPTQ",
      { "a.qweight": { ...u8(8, 4), dtype: "U8" }, "a.qzeros": u8(1), "a.scales": f32([1], 1) },
      /GPTQ/,
    ],
    ["SVDQuant", { "a.qweight": u8(8, 4), "a.wscales": f32([1], 1) }, /SVDQuant|packed/],
    ["quanto int4", { "a.weight._data._data": u8(8, 4), "a.weight._shift": f32([1], 1) }, /quanto in 2 or 4/],
    [
      "packed compressed-tensors",
      { "a.weight_packed": u8(8, 4), "a.weight_scale": f32([1], 1) },
      /compressed-tensors/,
    ],
    ["packed bytes", { "a.weight": u8(8, 4) }, /packed format \(U8\)/],
    [
      "int8 whose scale may mean two things",
      { "a.weight": i8(8, 4), "a.weight_scale": f32([1], 1) },
      /one step, or the largest magnitude/,
    ],
    ["int8 without scales", { "a.weight": i8(8, 4) }, /8-bit integers without scales/],
    [
      "zero points",
      { "a.weight": i8(2, 2), "a.weight_scale": f32([1], 1), "a.weight_zero_point": i8(1) },
      /zero points/,
    ],
    ["a scale of another name", { "a.weight": f8(2, 2), "a.fp8_scale": f32([1], 2) }, /"fp8_scale" beside/],
    ["an amax", { "a.weight": f8(2, 2), "a.weight_quantizer._amax": f32([1], 2) }, /weight_quantizer\._amax/],
    [
      "two scales",
      { "a.weight": f8(2, 2), "a.scale_weight": f32([1], 2), "a.weight_scale": f32([1], 2) },
      /two scales/,
    ],
    [
      "scales of another length",
      { "a.weight": f8(6, 2), "a.weight_scale": f32([2], 2, 2) },
      /must have 6, one per row/,
    ],
    [
      "scales of another shape",
      { "a.weight": f8(6, 2), "a.weight_scale": f32([5, 2], ...Array(10).fill(1)) },
      /5 scales for 6 rows/,
    ],
    [
      "a scale beside a plain weight",
      { "a.weight": f32([1, 1], 1), "a.scale_weight": f32([1], 2) },
      /needs none/,
    ],
  ];
  for (const [title, tensors, message] of files) {
    it(title, async () => {
      const said = await refusal(open(tensors));
      expect(said).toMatch(/^UNSUPPORTED_QUANTIZATION: /);
      expect(said).toMatch(message);
    });
  }

  it("formats of ComfyUI that are packed or rotated", async () => {
    const note = (text: string) =>
      ({ dtype: "U8", shape: [text.length], data: new TextEncoder().encode(text) }) as const;
    const scaled = { "a.weight": i8(2, 2), "a.weight_scale": f32([1], 1) };
    const rotated = open({ ...scaled, "a.comfy_quant": note('{"format":"int8_tensorwise","convrot":true}') });
    expect(await refusal(rotated)).toMatch(/"int8_tensorwise" with "convrot"/);
    expect(await refusal(open({ ...scaled, "a.comfy_quant": note("{") }))).toMatch(/format null/);
    const layers = { a: { format: "nvfp4" } };
    const stated = { _quantization_metadata: JSON.stringify({ layers }) };
    expect(await refusal(open(scaled, { metadata: stated }))).toMatch(/layer "a" .* "nvfp4"/);
    const known = {
      _quantization_metadata: JSON.stringify({ layers: { a: { format: "int8_tensorwise" } } }),
    };
    expect(await refusal(open(scaled, { metadata: known }))).toBe("loaded");
  });

  it.each([
    "blocks.0.to_q.lora_A.default.weight",
    "blocks.0.to_q.lora_down.weight",
    "lora_unet_blocks_0_self_attn_q.alpha",
    "blocks.0.to_q.base_layer.weight",
    "blocks.0.to_q.lora_magnitude_vector.default.weight",
    "blocks.0.to_q.hada_w1_a",
    "blocks.0.to_q.dora_scale",
  ])("an adapter left in the weights: %s", async (name) => {
    const said = await refusal(open({ ...plain, [name]: f32([1, 1], 1) }));
    expect(said).toMatch(/^ADAPTER_IN_WEIGHTS: 1 of 2 tensors belong to a LoRA/);
    expect(said).toContain(`"${name}"`);
  });
});
