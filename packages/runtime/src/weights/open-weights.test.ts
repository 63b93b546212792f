/** Shards, index files and the names under which checkpoints keep their weights. */
import { describe, expect, it } from "vitest";
import { type ByteSource, memorySource } from "./byte-source.js";
import { type FolderReader, memoryFolder } from "./folder.js";
import { openWeights } from "./open-weights.js";
import { expectTensor, openSafetensors } from "./safetensors-weights.js";
import { encodeSafetensors } from "./safetensors-writer.js";

const BASE = "diffusion_pytorch_model";
const fileOf = (values: Record<string, number[]>) =>
  encodeSafetensors(
    Object.fromEntries(
      Object.entries(values).map(([name, list]) => [
        name,
        { dtype: "F32" as const, shape: [list.length], data: Float32Array.from(list) },
      ]),
    ),
  );
const indexOf = (map: Record<string, string>) =>
  JSON.stringify({ metadata: { total_size: 1 }, weight_map: map });
const [first, second] = [`${BASE}-00001-of-00002.safetensors`, `${BASE}-00002-of-00002.safetensors`] as const;
const index = `${BASE}.safetensors.index.json`;
const sharded = {
  [index]: indexOf({ "a.weight": first, "a.bias": second, b: second }),
  [first]: fileOf({ "a.weight": [1, 2] }),
  [second]: fileOf({ "a.bias": [3], b: [4, 5, 6], unlisted: [7] }),
};

/** Counts sources that are open. */
function counting(folder: FolderReader): { folder: FolderReader; open: () => number } {
  let count = 0;
  return {
    open: () => count,
    folder: {
      ...folder,
      open: async (path) => {
        const source: ByteSource = await folder.open(path);
        count++;
        return {
          name: source.name,
          size: source.size,
          read: (...args) => source.read(...args),
          close: async () => {
            count--;
          },
        };
      },
    },
  };
}

const floats = async (bytes: Promise<Uint8Array>) => [...new Float32Array((await bytes).buffer)];

describe("shards with an index", () => {
  it("count before a single file for models of diffusers, and after it for those of transformers", async () => {
    for (const [base, expected] of [
      [BASE, [3]],
      ["model", [9]],
    ] as const) {
      const shard = `${base}-00001-of-00001.safetensors`;
      const folder = memoryFolder({
        [`${base}.safetensors`]: fileOf({ a: [9] }),
        [`${base}.safetensors.index.json`]: indexOf({ a: shard }),
        [shard]: fileOf({ a: [3] }),
      });
      const weights = await openWeights(folder, base);
      expect(await floats(weights.read("a"))).toEqual(expected);
    }
  });

  it("read as one source that closes all of them", async () => {
    const { folder, open } = counting(memoryFolder(sharded));
    const weights = await openWeights(folder, BASE);
    expect(weights.names()).toEqual(["a.weight", "a.bias", "b"]);
    expect(weights.info("a.bias").file).toBe(`memory/${second}`);
    expect(await floats(weights.read("a.bias"))).toEqual([3]);
    expect(await floats(weights.read("b", { byteOffset: 4, byteLength: 8 }))).toEqual([5, 6]);
    expect(weights.parameterCount).toBe(6);
    expect(weights.totalBytes).toBe(24);
    expect(open()).toBe(2);
    await weights.close();
    expect(open()).toBe(0);
  });

  it("pass over what a shard holds of a tensor that the index places in another one", async () => {
    const stale = fileOf({ "a.weight": [8, 9], "a.bias": [3], b: [4, 5, 6] });
    const weights = await openWeights(memoryFolder({ ...sharded, [second]: stale }), BASE);
    expect(weights.names()).toEqual(["a.weight", "a.bias", "b"]);
    expect(await floats(weights.read("a.weight"))).toEqual([1, 2]);
  });

  it.each<[string, Record<string, string | Uint8Array>, string, RegExp]>([
    ["not JSON", { [index]: "{" }, "INDEX_MISMATCH", /not JSON/],
    ["null", { [index]: "null" }, "INDEX_MISMATCH", /no object `weight_map`/],
    ["a list as map", { [index]: '{"weight_map":[]}' }, "INDEX_MISMATCH", /no object `weight_map`/],
    ["an empty map", { [index]: indexOf({}) }, "INDEX_MISMATCH", /empty/],
    [
      "a name twice",
      { [index]: `{"weight_map":{"b":"${first}","b":"${second}"}}` },
      "INDEX_MISMATCH",
      /"b" twice/,
    ],
    ["a shard that is a number", { [index]: '{"weight_map":{"b":1}}' }, "INDEX_MISMATCH", /"b" in 1/],
    [
      "a shard outside",
      { [index]: indexOf({ b: "../../other.safetensors" }) },
      "INDEX_MISMATCH",
      /no name of a shard/,
    ],
    [
      "a tensor in no shard",
      { [index]: indexOf({ "a.weight": first, c: second }) },
      "INDEX_MISMATCH",
      /"c" in .*00002.*none of the shards/,
    ],
    [
      "a tensor in the other shard",
      { [index]: indexOf({ "a.weight": second, b: first }) },
      "INDEX_MISMATCH",
      /"a.weight" in .*00002-of-00002.*but it is in .*00001-of/,
    ],
    [
      "a shard that is not there",
      { [index]: indexOf({ b: second, c: "x.safetensors", d: "y.safetensors" }) },
      "NOT_FOUND",
      /2 of 3 shards are missing: x.safetensors, y.safetensors/,
    ],
    [
      "a shard that is cut off",
      { [second]: sharded[second]!.slice(0, -1) as Uint8Array },
      "TRUNCATED",
      /ends at byte/,
    ],
  ])("name the problem, and close what was opened: %s", async (_, change, code, message) => {
    const { folder, open } = counting(memoryFolder({ ...sharded, ...change }));
    const failure = openWeights(folder, BASE);
    await expect(failure).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    await expect(failure).rejects.toHaveProperty("fix", expect.stringContaining("ownload"));
    expect(open()).toBe(0);
  });
});

describe("openWeights", () => {
  const file = fileOf({ a: [1] });
  it.each<[string, string, "fp16" | "bf16" | undefined]>([
    ["the plain file", `${BASE}.safetensors`, undefined],
    ["a variant that was asked for", `${BASE}.fp16.safetensors`, "fp16"],
    ["a variant when there is nothing else", `${BASE}.bf16.safetensors`, undefined],
  ])("finds %s", async (_, name, variant) => {
    const weights = await openWeights(memoryFolder({ [name]: file }), BASE, variant ? { variant } : {});
    expect(weights.info("a").file).toBe(`memory/${name}`);
  });

  it("finds the shards of a variant", async () => {
    for (const name of [`${BASE}.safetensors.index.fp16.json`, `${BASE}.fp16.safetensors.index.json`]) {
      const files = { [name]: indexOf({ "a.weight": first }), [first]: sharded[first]! };
      expect((await openWeights(memoryFolder(files), BASE, { variant: "fp16" })).names()).toEqual([
        "a.weight",
      ]);
    }
  });

  it("prefers an index to a single file beside it", async () => {
    const weights = await openWeights(memoryFolder({ ...sharded, [`${BASE}.safetensors`]: file }), BASE);
    expect(weights.names()).toEqual(["a.weight", "a.bias", "b"]);
  });

  it("prefers the plain file over a variant", async () => {
    const files = { [`${BASE}.fp16.safetensors`]: fileOf({ other: [1] }), [`${BASE}.safetensors`]: file };
    expect((await openWeights(memoryFolder(files), BASE)).names()).toEqual(["a"]);
  });

  it.each<[string, string[], RegExp]>([
    ["nothing", [], /diffusers format/],
    ["pickled weights", [`${BASE}.bin`], /diffusion_pytorch_model\.bin: convert to safetensors/],
    ["another base name", ["model.safetensors"], /model\.safetensors: rename/],
    ["a GGUF file", ["wan-Q4_K_M.gguf"], /give it by its own name/],
    ["an unfinished download", [`${BASE}.safetensors.incomplete`], /finish the download/],
  ])("says what it looked for and found: %s", async (_, names, fix) => {
    const folder = memoryFolder(Object.fromEntries(names.map((name) => [name, "x"])), "checkpoint/vae");
    await expect(openWeights(folder, BASE)).rejects.toMatchObject({
      code: "NOT_FOUND",
      where: "checkpoint/vae",
      message: expect.stringContaining(`${index}, ${BASE}.safetensors`),
      fix: expect.stringMatching(fix),
    });
  });
});

describe("a weight source", () => {
  const open = () =>
    openSafetensors(memorySource(fileOf({ "te.blocks.0.q": [1, 2, 3], "te.norm": [4], "vae.conv": [5, 6] })));

  it("streams whole elements through one buffer", async () => {
    const values = Array.from({ length: 100 }, (_, i) => i);
    const weights = await openSafetensors(memorySource(fileOf({ a: values })));
    const seen: number[] = [];
    const buffers = new Set<ArrayBufferLike>();
    await weights.stream("a", 50, async (chunk, byteOffset) => {
      await Promise.resolve();
      expect(byteOffset).toBe(seen.length * 4);
      expect(chunk.length % 4).toBe(0);
      expect(chunk.length).toBeLessThanOrEqual(50);
      buffers.add(chunk.buffer);
      seen.push(...new Float32Array(chunk.slice().buffer));
    });
    expect(seen).toEqual(values);
    expect(buffers.size).toBe(1);
    const part: number[] = [];
    await weights.stream("a", 1e9, (chunk, offset) => void part.push(offset, chunk.length), {
      byteOffset: 40,
      byteLength: 8,
    });
    expect(part).toEqual([40, 8]);
  });

  it("gives streams that run at the same time their own buffers", async () => {
    const weights = await openSafetensors(
      memorySource(fileOf({ a: [1, 1, 1, 1, 1, 1, 1], b: [2, 2, 2, 2, 2, 2, 2] })),
    );
    const sums = await Promise.all(
      ["a", "b", "a"].map(async (name) => {
        let sum = 0;
        await weights.stream(name, 24, async (chunk) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          for (const value of new Float32Array(chunk.slice().buffer)) sum += value;
        });
        return sum;
      }),
    );
    expect(sums).toEqual([7, 14, 7]);
  });

  it("passes on what the callback throws, and can stream again", async () => {
    const weights = await open();
    const stop = new Error("stop");
    await expect(
      weights.stream("te.norm", 64, () => {
        throw stop;
      }),
    ).rejects.toBe(stop);
    let calls = 0;
    await weights.stream("te.norm", 64, () => void calls++);
    expect(calls).toBe(1);
  });

  it("shows the part under a prefix", async () => {
    const encoder = (await open()).withPrefix("te.");
    expect(encoder.names().sort()).toEqual(["blocks.0.q", "norm"]);
    expect(encoder.parameterCount).toBe(4);
    expect(encoder.totalBytes).toBe(16);
    const block = encoder.withPrefix("blocks.0.");
    expect(await floats(block.read("q"))).toEqual([1, 2, 3]);
    expect(block.has("norm")).toBe(false);
    expect(() => encoder.info("conv")).toThrow('"te.conv"');
  });

  it("suggests names for one that is missing, and refuses ranges outside", async () => {
    const weights = await open();
    expect(() => weights.info("blocks.0.q")).toThrow(
      expect.objectContaining({
        code: "MISSING_TENSOR",
        message: expect.stringContaining('"te.blocks.0.q"'),
      }),
    );
    await expect(weights.read("te.nrm")).rejects.toThrow('nearest names are "te.norm"');
    await expect(weights.read("te.norm", { byteOffset: 2, byteLength: 4 })).rejects.toMatchObject({
      code: "RANGE_OUTSIDE_TENSOR",
    });
  });

  it("checks shapes by name", async () => {
    const weights = await open();
    expect(expectTensor(weights, "vae.conv", [2]).dtype).toBe("F32");
    expect(() => expectTensor(weights, "vae.conv", [2, 1])).toThrow(
      expect.objectContaining({
        code: "WRONG_SHAPE",
        message: expect.stringMatching(/"vae.conv" is \[2\].*expects \[2, 1\]/),
      }),
    );
  });

  it("refuses the same name in two files", async () => {
    const failure = openSafetensors([
      memorySource(fileOf({ a: [1] }), "one"),
      memorySource(fileOf({ a: [1] }), "two"),
    ]);
    await expect(failure).rejects.toMatchObject({
      code: "DUPLICATE_TENSOR",
      message: 'tensor "a" is in one and in two.',
    });
  });
});
