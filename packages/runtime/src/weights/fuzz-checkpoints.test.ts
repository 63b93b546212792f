/**
 * Damaged indexes and quantized layouts: each of thousands of seeded mutations is a named error, or loads with the
 * numbers that it must have.
 */
import { describe, expect, it } from "vitest";
import { isLvsaError } from "../errors.js";
import { seededNormal, seededUniform } from "../testing/random.js";
import { memoryFolder } from "./folder.js";
import { DIFFUSERS_WEIGHTS, openWeights } from "./open-weights.js";
import { LAYOUTS, type Layout, quantize } from "./quantized/quantized-layouts.js";
import { encodeSafetensors, type TensorToWrite } from "./safetensors-writer.js";
import { widen } from "./widen.js";

const SEED = Number(process.env.LVSA_FUZZ_SEED ?? 20260207);
const MUTATIONS = 3000;
const INDEX = `${DIFFUSERS_WEIGHTS}.safetensors.index.json`;
const [FIRST, SECOND] = [1, 2].map((n) => `${DIFFUSERS_WEIGHTS}-0000${n}-of-00002.safetensors`) as [
  string,
  string,
];

type Random = (below: number) => number;
type Files = Record<string, Uint8Array | string>;

/** Values by name, of everything that a checkpoint holds or once held under another name. */
type Truth = ReadonlyMap<string, Float32Array>;

const plain = (name: string, seed: number) => ({
  name,
  values: seededNormal(24, seed),
  entry: { dtype: "F32", shape: [6, 4], data: seededNormal(24, seed) } as TensorToWrite,
});

/** Two shards with an index. */
function sharded(): { files: Files; truth: Truth } {
  const tensors = ["a.weight", "a.bias", "b.weight", "c.weight"].map((name, i) => plain(name, i));
  const pick = (some: typeof tensors) =>
    encodeSafetensors(Object.fromEntries(some.map((t) => [t.name, t.entry])));
  const map = Object.fromEntries(tensors.map(({ name }, i) => [name, i < 2 ? FIRST : SECOND]));
  return {
    files: {
      [INDEX]: JSON.stringify({ metadata: { total_size: 384 }, weight_map: map }),
      [FIRST]: pick(tensors.slice(0, 2)),
      [SECOND]: pick(tensors.slice(2)),
    },
    truth: new Map(tensors.map(({ name, values }) => [name, values])),
  };
}

const ODD = [
  "null",
  "[]",
  "{}",
  '""',
  '"../x.safetensors"',
  '"/etc/passwd"',
  '"x.bin"',
  "1e999",
  `"${SECOND}"`,
  `"${FIRST}"`,
];
const PIECES = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "\\",
  "\\u0000",
  "\ufeff",
  "[".repeat(2000),
  '"__proto__":{},',
];

const indexMutations: Record<string, (files: Files, random: Random) => void> = {
  "text of the index": (files, random) => {
    const text = files[INDEX] as string;
    const at = random(text.length);
    files[INDEX] = text.slice(0, at) + PIECES[random(PIECES.length)]! + text.slice(at + random(6));
  },
  "cut index": (files, random) => {
    files[INDEX] = (files[INDEX] as string).slice(0, random((files[INDEX] as string).length));
  },
  "a value of the index": (files, random) => {
    const values = (files[INDEX] as string).match(/(?<=:)("[^"]*"|\d+|\{)/g)!;
    const chosen = values[random(values.length)]!;
    files[INDEX] = (files[INDEX] as string).replace(
      `:${chosen}`,
      `:${ODD[random(ODD.length)]}${chosen === "{" ? ",{" : ""}`,
    );
  },
  "a name of the index": (files, random) => {
    const names = ["a.weight", "a.bias", "b.weight", "c.weight", "weight_map", "__proto__", "metadata"];
    files[INDEX] = (files[INDEX] as string).replace(
      `"${names[random(names.length)]}":`,
      `"${names[random(names.length)]}":`,
    );
  },
  "a missing shard": (files, random) => {
    delete files[[FIRST, SECOND][random(2)]!];
  },
  "shards of each other": (files, random) => {
    if (random(2)) [files[FIRST], files[SECOND]] = [files[SECOND]!, files[FIRST]!];
    else files[FIRST] = files[SECOND]!;
  },
  "a cut shard": (files, random) => {
    const name = [FIRST, SECOND][random(2)]!;
    files[name] = (files[name] as Uint8Array).slice(0, random(files[name]!.length));
  },
  "bytes of the index that are no text": (files, random) => {
    const bytes = new TextEncoder().encode(files[INDEX] as string);
    bytes[random(bytes.length)] = 0x80 | random(128);
    files[INDEX] = bytes;
  },
};

/** The tensors of one layout, with two neighbours that are plain. */
function quantized(layout: Layout): {
  tensors: Record<string, TensorToWrite>;
  truth: Map<string, Float32Array>;
  config: unknown;
} {
  const twins = ["a.weight", "b.to_q.weight"].map((name, i) =>
    quantize(name, [32, 64], seededNormal(2048, i), layout),
  );
  const neighbour = plain("norm.weight", 7);
  return {
    tensors: Object.assign({ "norm.weight": neighbour.entry }, ...twins.map((twin) => twin.quantized)),
    truth: new Map([
      ["norm.weight", neighbour.values],
      ...twins.flatMap((twin) =>
        Object.entries(twin.plain).map(([name, { values }]) => [name, values] as const),
      ),
    ]),
    config: layout.isStated ? { quantization_config: { quant_method: "compressed-tensors" } } : {},
  };
}

type Tensors = Record<string, TensorToWrite>;
const scaleNames = (tensors: Tensors) => Object.keys(tensors).filter((name) => /scale|SCB/.test(name));
const codeNames = (tensors: Tensors) =>
  Object.keys(tensors).filter((name) => /^(F8|I8)/.test(tensors[name]!.dtype));
const renamed = (tensors: Tensors, from: string, to: string) => {
  tensors[to] = tensors[from]!;
  delete tensors[from];
};

/** Each leaves a layout that is right, or one that must be refused; `lost` names what may not be read any more. */
const layoutMutations: Record<
  string,
  (tensors: Tensors, random: Random) => { lost?: RegExp; stated?: unknown }
> = {
  nothing: () => ({}),
  "a scale under another name": (tensors, random) => {
    const names = scaleNames(tensors);
    const name = names[random(names.length)]!;
    renamed(
      tensors,
      name,
      `${name.slice(0, name.lastIndexOf(".") + 1)}${["scales", "weight_scale_3", "fp8_scale", "quant_scale"][random(4)]}`,
    );
    return { lost: /./ };
  },
  "a scale of another shape": (tensors, random) => {
    const names = scaleNames(tensors);
    const shape = [[3], [5, 7], [33], [2, 2, 2], [0]][random(5)]!;
    tensors[names[random(names.length)]!] = {
      dtype: "F32",
      shape,
      data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
    };
    return { lost: /./ };
  },
  "a scale of another type": (tensors, random) => {
    const name = scaleNames(tensors)[random(2)]!;
    const { shape } = tensors[name]!;
    const count = shape.reduce((a, b) => a * b, 1);
    tensors[name] = {
      dtype: (["U8", "F8_E4M3", "F8_E8M0", "BOOL"] as const)[random(4)]!,
      shape,
      data: new Uint8Array(count),
    };
    return { lost: /./ };
  },
  "a second scale": (tensors, random) => {
    const [name] = codeNames(tensors);
    const module = name!.replace(/weight(\._data)?$/, "");
    const added = [`${module}weight_scale`, `${module}scale_weight`, `${module}weight_scale_inv`].filter(
      (one) => !tensors[one],
    );
    tensors[added[random(added.length)]!] = { dtype: "F32", shape: [1], data: Float32Array.of(2) };
    return { lost: /./ };
  },
  "a marker, a scale of activations or an empty tensor": (tensors, random) => {
    const module = codeNames(tensors)[0]!.replace(/weight(\._data)?$/, "");
    const [name, shape] = [
      ["scaled_fp8", [2]],
      ["scaled_fp8", [0]],
      [`${module}input_scale`, [1]],
      [`${module}scale_input`, []],
      ["a_marker", [0, 3]],
    ][random(5)] as [string, number[]];
    const count = shape.reduce((a, b) => a * b, 1);
    tensors[name] = { dtype: "F32", shape, data: new Float32Array(count).fill(3) };
    return {};
  },
  "an adapter": (tensors, random) => {
    const kinds = [
      "lora_A.weight",
      "lora_down.weight",
      "lora_B.default.weight",
      "dora_scale",
      "base_layer.weight",
    ];
    tensors[`b.to_q.${kinds[random(kinds.length)]}`] = { dtype: "F32", shape: [1], data: Float32Array.of(1) };
    return { lost: /./ };
  },
  "a method that is not known": (_, random) => {
    const method = ["bitsandbytes", "gptq", "awq", "hqq", "torchao", "x"][random(6)];
    return { lost: /./, stated: { quantization_config: { quant_method: method } } };
  },
};

async function outcome(files: Files, truth: Truth): Promise<string> {
  try {
    const weights = await openWeights(memoryFolder(files), DIFFUSERS_WEIGHTS);
    const names = weights.names();
    for (const name of names) {
      const values = widen(await weights.read(name), weights.info(name).dtype, name);
      const expected = truth.get(name);
      if (expected && Buffer.compare(Buffer.from(values.buffer), Buffer.from(expected.buffer)) !== 0)
        return `wrong numbers in ${name}`;
      if (!expected && values.length > 0) return `a tensor from nowhere: ${name}`;
    }
    await weights.close();
    return `loaded ${names.length}`;
  } catch (error) {
    if (isLvsaError(error) && error.message.length < 1000) return error.code;
    throw error;
  }
}

const random = (() => {
  const uniform = seededUniform(SEED);
  return (below: number) => Math.floor(uniform() * below);
})();

describe(`mutations with seed ${SEED} (LVSA_FUZZ_SEED for another)`, () => {
  it(`${MUTATIONS} of an index and its shards`, async () => {
    const outcomes = new Set<string>();
    const kinds = Object.entries(indexMutations);
    for (let i = 0; i < MUTATIONS; i++) {
      const [kind, mutate] = kinds[i % kinds.length]!;
      const { files, truth } = sharded();
      mutate(files, random);
      const result = await outcome(files, truth).catch((cause) => {
        throw new Error(`mutation ${i} (${kind}), seed ${SEED}`, { cause });
      });
      expect(result, `mutation ${i} (${kind}), seed ${SEED}`).toMatch(/^(loaded \d|[A-Z_]+$)/);
      outcomes.add(result.replace(/ \d+$/, ""));
    }
    for (const code of ["INDEX_MISMATCH", "NOT_FOUND", "NOT_TEXT", "TRUNCATED", "loaded"])
      expect([...outcomes]).toContain(code);
  });

  it(`${MUTATIONS} of quantized layouts`, async () => {
    const outcomes = new Set<string>();
    const kinds = Object.entries(layoutMutations);
    const made = Object.entries(LAYOUTS).map(([title, layout]) => ({ title, ...quantized(layout) }));
    for (let i = 0; i < MUTATIONS; i++) {
      const [kind, mutate] = kinds[i % kinds.length]!;
      const { title, tensors: original, truth, config } = made[random(made.length)]!;
      const tensors = { ...original };
      const { lost, stated } = mutate(tensors, random);
      const files = {
        [`${DIFFUSERS_WEIGHTS}.safetensors`]: encodeSafetensors(tensors),
        "config.json": JSON.stringify(stated ?? config),
      };
      const where = `mutation ${i} (${title}; ${kind}), seed ${SEED}`;
      const result = await outcome(files, truth).catch((cause) => {
        throw new Error(where, { cause });
      });
      // A layout that was broken is refused, whatever its numbers; one that was not gives every number.
      if (lost) expect(result, where).toMatch(/^(UNSUPPORTED_QUANTIZATION|ADAPTER_IN_WEIGHTS)$/);
      else expect(result, where).toMatch(/^loaded [34]$/);
      outcomes.add(result);
    }
    expect(outcomes.size).toBeGreaterThanOrEqual(4);
  });
});
