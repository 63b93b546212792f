/**
 * Kernels of the real models' sizes on one GPU, each with several tiles: what the choice of tiles stands on. Prints one
 * JSON line per measurement as soon as it is made.
 *
 *     node kernels.mjs LABEL [--small] [--only linear,few,attention,narrow,lvsa,conv] [--tuning] [--rules linear=tile-f16,conv3d=tile-f16]
 *
 * `few` are linear layers of text and time: few rows. `--rules` are those of `createDevice`. `DAWN_FLAGS` are Dawn's, separated by `;`.
 */
import { AttentionPattern, attention, FrameSparseLayout } from "@lvsa/core";
import { conv3d, linear, packConvWeight, type Tensor } from "@lvsa/runtime";
import { DECODER_CONVOLUTIONS, openBench } from "./bench.js";

const args = process.argv.slice(2);
const small = args.includes("--small");
const tuning = args.includes("--tuning");
const only = args.includes("--only") ? args[args.indexOf("--only") + 1]!.split(",") : undefined;
const rules = Object.fromEntries(
  (args.includes("--rules") ? args[args.indexOf("--rules") + 1]!.split(",") : []).map((rule) =>
    rule.split("="),
  ),
) as Record<string, string>;
const bench = await openBench({ label: args[0] ?? "now", small, rules });
const { device, say, time, upload, clean } = bench;
const matrices = device.info.matrices.length > 0;

async function measure(
  name: string,
  shape: object,
  flops: number,
  tile: unknown,
  run: () => void,
  error?: () => Promise<number>,
) {
  if (bench.isOver()) return;
  try {
    const wrong = await error?.();
    const ms = await time(run);
    say({
      case: name,
      shape,
      tile: tile ?? "rule",
      ms: +ms.toFixed(4),
      tflops: +(flops / ms / 1e9).toFixed(2),
      ...(wrong === undefined ? {} : { error: +wrong.toExponential(2) }),
    });
  } catch (thrown) {
    say({ case: name, shape, tile: tile ?? "rule", failed: String(thrown).slice(0, 300) });
  }
}

const wanted = (name: string) => !only || only.includes(name);

const LINEAR_TILES = [
  { kind: "matrix", tileM: 128, tileN: 256, subgroupsM: 2, subgroupsN: 4, whole: true },
  { kind: "matrix", tileM: 256, tileN: 128, subgroupsM: 4, subgroupsN: 2, whole: true },
  { kind: "matrix", tileM: 128, tileN: 128, subgroupsM: 2, subgroupsN: 2, whole: true },
  { kind: "matrix", tileM: 128, tileN: 128, subgroupsM: 2, subgroupsN: 2, whole: true, step: 64 },
  { kind: "matrix", tileM: 128, tileN: 128, subgroupsM: 2, subgroupsN: 4, whole: true },
  { kind: "matrix", tileM: 128, tileN: 256, subgroupsM: 2, subgroupsN: 4 },
] as const;

async function linearCase(M: number, N: number, K: number) {
  const x = upload([M, K], 1);
  const w = upload([N, K], 2, 1 / Math.sqrt(K));
  const bias = upload([N], 3);
  const shape = { M, N, K };
  for (const variant of [undefined, ...(tuning && matrices ? LINEAR_TILES : [])]) {
    const options = { bias, ...(variant ? { tuning: { variant } } : {}) };
    await measure(
      "linear",
      shape,
      2 * M * N * K,
      variant,
      () => linear(device, x, w, options).dispose(),
      async () => {
        const y = linear(device, x, w, { ...options, outDtype: "f32" });
        const part = y.rows(M - 1, M);
        const got = await device.read(part);
        const xRow = x.rows(M - 1, M);
        const [xs, ws, bs] = [await device.read(xRow), await device.read(w), await device.read(bias)];
        for (const t of [part, y, xRow]) t.dispose();
        let [off, size] = [0, 0];
        for (let n = 0; n < N; n += 37) {
          let sum = bs[n]!;
          for (let k = 0; k < K; k++) sum += xs[k]! * ws[n * K + k]!;
          off += (got[n]! - sum) ** 2;
          size += sum ** 2;
        }
        return Math.sqrt(off / size);
      },
    );
  }
  await clean();
}

const ATTENTION_TILES = [
  { kind: "matrix", subgroups: 8, keys: 32, split: 2 },
  { kind: "matrix", subgroups: 6, keys: 32, split: 2 },
  { kind: "matrix", subgroups: 4, keys: 32, split: 2 },
  { kind: "matrix", subgroups: 4, keys: 32 },
] as const;

async function attentionCase(
  frames: number,
  patches: number,
  heads: number,
  headDim: number,
  interval: number | undefined,
) {
  const tokens = frames * patches;
  const size = [1, tokens, heads, headDim];
  const [query, key, value] = [upload(size, 1, 1.7), upload(size, 2, 1.7), upload(size, 3)];
  const pattern =
    interval === undefined
      ? undefined
      : AttentionPattern.build({
          frames,
          patchesPerFrame: patches,
          window: interval === 0 ? frames : 3,
          nFirstFrames: 1,
          keyframeInterval: interval === 0 ? null : interval,
        });
  const layout = pattern && new FrameSparseLayout(device);
  const density = pattern?.density ?? 1;
  let known: Promise<Float64Array> | undefined;
  const shape = { frames, patches, heads, headDim, attended: +(density * frames).toFixed(2) };
  for (const variant of [undefined, ...(tuning && matrices ? ATTENTION_TILES : [])]) {
    const extra = variant ? { variant } : {};
    const run = () =>
      pattern && layout
        ? attention(device, { query, key, value, layout: layout.use(pattern), ...extra }).output
        : attention(device, { query, key, value, ...extra }).output;
    await measure(
      pattern ? "lvsa" : "attention",
      shape,
      4 * density * tokens * tokens * heads * headDim,
      variant,
      () => run().dispose(),
      tokens > 70_000
        ? undefined
        : async () => {
            const at = tokens - Math.min(patches, 78);
            const output = run();
            const flat = output.reshape([tokens, heads * headDim]);
            const row = flat.rows(at, at + 1);
            const got = (await device.read(row)).slice(-headDim);
            for (const t of [row, flat, output]) t.dispose();
            known ??= reference(at);
            const want = await known;
            let [off, norm] = [0, 0];
            for (let d = 0; d < headDim; d++) {
              off += (want[d]! - got[d]!) ** 2;
              norm += want[d]! ** 2;
            }
            return Math.sqrt(off / norm);
          },
    );
  }
  layout?.dispose();
  await clean();
  /** Last head of one query, in float64. */
  async function reference(at: number): Promise<Float64Array> {
    const [q, k, v] = [await column(query, at), await column(key), await column(value)];
    const sees = pattern ? new Set(pattern.attendedFrames(frames - 1)) : undefined;
    const scores: [number, number][] = [];
    for (let t = 0; t < tokens; t++) {
      if (sees && !sees.has(Math.floor(t / patches))) continue;
      let s = 0;
      for (let d = 0; d < headDim; d++) s += q[d]! * k[t * headDim + d]!;
      scores.push([t, s / Math.sqrt(headDim)]);
    }
    const top = scores.reduce((m, [, s]) => Math.max(m, s), -1e30);
    const want = new Float64Array(headDim);
    let sum = 0;
    for (const [t, s] of scores) {
      const e = Math.exp(s - top);
      sum += e;
      for (let d = 0; d < headDim; d++) want[d]! += e * v[t * headDim + d]!;
    }
    return want.map((w) => w / sum);
  }
  async function column(t: Tensor, only?: number): Promise<Float32Array> {
    const all = t.reshape([tokens, heads * headDim]);
    const part = only === undefined ? undefined : all.rows(only, only + 1);
    const numbers = await device.read(part ?? all);
    part?.dispose();
    all.dispose();
    const rows = only === undefined ? tokens : 1;
    const out = new Float32Array(rows * headDim);
    for (let r = 0; r < rows; r++)
      out.set(numbers.subarray((r + 1) * heads * headDim - headDim, (r + 1) * heads * headDim), r * headDim);
    return out;
  }
}

const CONV_TILES = [
  { kind: "matrix", tileM: 256, tileN: 128, subgroupsM: 4, subgroupsN: 2 },
  { kind: "matrix", tileM: 128, tileN: 128, subgroupsM: 2, subgroupsN: 2, step: 64 },
  { kind: "matrix", tileM: 128, tileN: 192, subgroupsM: 4, subgroupsN: 2 },
  { kind: "matrix", tileM: 128, tileN: 192, subgroupsM: 2, subgroupsN: 4 },
  { kind: "matrix", tileM: 256, tileN: 96, subgroupsM: 8, subgroupsN: 1 },
  { kind: "matrix", tileM: 256, tileN: 96, subgroupsM: 4, subgroupsN: 2 },
  { kind: "matrix", tileM: 128, tileN: 96, subgroupsM: 4, subgroupsN: 1, step: 64 },
  { kind: "matrix", tileM: 128, tileN: 96, subgroupsM: 2, subgroupsN: 2, step: 64 },
  { kind: "matrix", tileM: 64, tileN: 192, subgroupsM: 2, subgroupsN: 2, step: 64 },
] as const;

async function convCase(frames: number, height: number, width: number, channels: number, out = channels) {
  const x = upload([1, frames, height, width, channels], 1);
  const history = upload([1, 2, height, width, channels], 2);
  const weight = packConvWeight(device, upload([out, channels, 3, 3, 3], 3, 1 / Math.sqrt(27 * channels)));
  const shape = { frames, height, width, channels, out };
  const tiles = frames === 1 && tuning && matrices ? CONV_TILES.filter(({ tileN }) => out % tileN === 0) : [];
  const padding = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
  for (const variant of [undefined, ...tiles]) {
    await measure("conv", shape, 2 * frames * height * width * channels * out * 27, variant, () =>
      conv3d(device, x, weight, { padding, history, ...(variant ? { tuning: { variant } } : {}) }).dispose(),
    );
  }
  await clean();
}

const s = small ? 64 : 1;
if (wanted("linear")) {
  await linearCase(32768 / s, 1536 / (small ? 8 : 1), 1536 / (small ? 8 : 1));
  await linearCase(32768 / s, 8960 / (small ? 28 : 1), 1536 / (small ? 8 : 1));
  if (!small) await linearCase(32768, 1536, 8960);
  if (!small && tuning) await linearCase(8192, 8192, 8192);
}
if (wanted("few")) {
  for (const [M, N, K] of [
    [512, 10240, 4096],
    [512, 4096, 10240],
    [512, 1536, 4096],
    [64, 4096, 4096],
    [16, 4096, 10240],
    [2, 9216, 1536],
    [1, 9216, 1536],
    [1, 4096, 10240],
  ] as const)
    await linearCase(M, N / (small ? 16 : 1), K / (small ? 16 : 1));
}
const patches = small ? 70 : 1560;
const heads = small ? 2 : 12;
if (wanted("attention")) await attentionCase(small ? 4 : 21, patches, heads, 128, undefined);
if (wanted("narrow")) await attentionCase(small ? 4 : 13, small ? 70 : 1350, small ? 2 : 48, 64, undefined);
if (wanted("lvsa")) {
  for (const [frames, interval] of small
    ? ([[9, 3]] as const)
    : ([
        [21, 0],
        [41, 3],
        [81, 6],
        [121, 9],
      ] as const)) {
    await attentionCase(frames, patches, heads, 128, interval);
  }
}
if (wanted("conv")) {
  for (const [h, w, c] of small ? ([[12, 16, 32]] as const) : DECODER_CONVOLUTIONS) {
    // Decoders work on single frames.
    for (const frames of [4, 1]) await convCase(frames, h, w, c);
  }
}
device.dispose();
