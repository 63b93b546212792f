/**
 * Kernels that rules choose beside those that they chose before, on the shapes of Wan 2.1 1.3B: both in one run, turn by turn,
 * warm. One JSON line per pair.
 *
 *     node choices.mjs LABEL [--small] [--only conv,rows,row]
 *
 * `conv`: convolutions of the decoder without matrices, f16 values against f32, and its RGB output by matrices against f16
 * values. `rows`: layers of the text encoder with prompts of 9 to 64 tokens, tiles of few rows against the smallest of many;
 * `gbps` is the weight that is read per second, against the memory's the limit of what sharing k between workgroups could gain.
 * `row`: the time embedding, rows by threads along k against the tile of 16 rows.
 */
import { conv3d, linear, packConvWeight } from "@lvsa/runtime";
import type { ConvTuning } from "../../packages/runtime/src/ops/conv/conv3d.js";
import type { LinearTuning } from "../../packages/runtime/src/ops/linear/linear.js";
import { DECODER_CONVOLUTIONS, openBench } from "./bench.js";

const args = process.argv.slice(2);
const small = args.includes("--small");
const only = args.includes("--only") ? args[args.indexOf("--only") + 1]!.split(",") : undefined;
const { device, isOver, say, timeInTurns, upload, clean } = await openBench({
  label: args[0] ?? "now",
  small,
});
const isWanted = (name: string) => !only || only.includes(name);
const hasMatrices = device.info.matrices.some(
  ({ component, m, n }) => component === "f16" && m === 16 && n === 16,
);
/** Whether matrices can be timed; says so where not. */
function withMatrices(what: string): boolean {
  if (!hasMatrices) say({ case: what, skipped: "the device has no f16 matrices of 16x16x16" });
  return hasMatrices;
}

interface Candidate {
  readonly name: string;
  readonly run: () => void;
}

/** Times candidates in turns. `bytes`: of the weight. The ratio is the first one's time to the second one's. */
async function compare(
  what: string,
  shape: object,
  work: { readonly flops: number; readonly bytes: number },
  candidates: readonly [now: Candidate, before: Candidate],
): Promise<void> {
  if (isOver()) return;
  try {
    const times = await timeInTurns(candidates.map(({ run }) => run));
    const each = candidates.map(({ name }, i) => {
      const { ms, host } = times[i]!;
      return {
        kernel: name,
        ms: +ms.toFixed(4),
        host: +host.toFixed(4),
        tflops: +(work.flops / ms / 1e9).toFixed(3),
        gbps: +(work.bytes / ms / 1e6).toFixed(1),
      };
    });
    say({
      case: what,
      shape,
      now: each[0],
      before: each[1],
      ratio: +(times[0]!.ms / times[1]!.ms).toFixed(3),
    });
  } catch (thrown) {
    say({ case: what, shape, failed: String(thrown).slice(0, 300) });
  }
}

/** More than a large GPU's caches hold, so that weights come from memory, as in a model. */
const BEYOND_CACHES = small ? 1 : 256e6;

async function layer(
  what: string,
  M: number,
  N: number,
  K: number,
  tunings: readonly [LinearTuning, LinearTuning],
) {
  const x = upload([M, K], 1);
  const count = Math.ceil(BEYOND_CACHES / (2 * N * K));
  const weights = Array.from({ length: count }, (_, i) => upload([N, K], 2 + i, 1 / Math.sqrt(K)));
  const bias = upload([N], 3);
  const candidate = (tuning: LinearTuning): Candidate => {
    let next = 0;
    return {
      name: tuning.rule ?? JSON.stringify(tuning.variant),
      run: () => linear(device, x, weights[next++ % count]!, { bias, tuning }).dispose(),
    };
  };
  const [now, before] = tunings;
  const bytes = N * K * (weights[0]!.dtype === "f16" ? 2 : 4);
  await compare(what, { M, N, K }, { flops: 2 * M * N * K, bytes }, [candidate(now), candidate(before)]);
  await clean();
}

async function convolution(
  height: number,
  width: number,
  channels: number,
  out: number,
  rules: readonly [string, string],
) {
  const x = upload([1, 1, height, width, channels], 1);
  const history = upload([1, 2, height, width, channels], 2);
  const weight = packConvWeight(device, upload([out, channels, 3, 3, 3], 3, 1 / Math.sqrt(27 * channels)));
  const padding = { time: [2, 0], height: [1, 1], width: [1, 1] } as const;
  const candidate = (rule: string): Candidate => {
    const tuning: ConvTuning = { rule };
    return { name: rule, run: () => conv3d(device, x, weight, { padding, history, tuning }).dispose() };
  };
  const flops = 2 * height * width * channels * out * 27;
  const bytes = 27 * channels * out * (x.dtype === "f16" ? 2 : 4);
  const [now, before] = rules;
  await compare("conv", { height, width, channels, out }, { flops, bytes }, [
    candidate(now),
    candidate(before),
  ]);
  weight.dispose();
  await clean();
}

const few = (tileM: number): LinearTuning => ({
  variant: { kind: "matrix", tileM, tileN: 64, subgroupsM: 1, subgroupsN: 4, step: 64, whole: true },
});
const smallest: LinearTuning = {
  variant: { kind: "matrix", tileM: 64, tileN: 64, subgroupsM: 2, subgroupsN: 2, whole: true },
};

if (isWanted("conv")) {
  for (const [height, width, channels] of small ? ([[12, 16, 32]] as const) : DECODER_CONVOLUTIONS) {
    await convolution(height, width, channels, channels, ["tile-f16", "tile"]);
  }
  const [height, width] = small ? [12, 16] : [480, 832];
  await convolution(height, width, small ? 32 : 96, 3, ["tile-f16", "tile"]);
  if (withMatrices("conv")) await convolution(height, width, small ? 32 : 96, 3, ["matrix-f16", "tile-f16"]);
}
if (isWanted("rows") && withMatrices("rows")) {
  for (const [N, K] of small
    ? ([[64, 128]] as const)
    : ([
        [4096, 4096],
        [10_240, 4096],
        [4096, 10_240],
      ] as const)) {
    for (const M of [9, 16, 24, 32, 64, 96, 128])
      await layer("rows", M, N, K, [few(M <= 16 ? 16 : 32), smallest]);
    // Tiles of few rows do not take these.
    for (const M of [192, 256, 512]) await layer("rows", M, N, K, [smallest, few(32)]);
  }
}
if (isWanted("row") && withMatrices("row")) {
  for (const [N, K] of small
    ? ([[64, 128]] as const)
    : ([
        [1536, 256],
        [1536, 1536],
        [9216, 1536],
      ] as const)) {
    await layer("row", 1, N, K, [{ rule: "gemv" }, few(16)]);
  }
}
device.dispose();
