/**
 * What every `ModelAdapter` must do, as named checks that any test runner can run:
 *
 *     for (const { name, run } of adapterConformance(fixture)) test(name, run);
 *
 * The fixture supplies a small model of the family with real weights and makes calls of any length.
 */
import { type Device, LvsaError, type Tensor } from "@lvsa/runtime";
import { LvsaAttentionProcessor, type LvsaProcessorOptions } from "../adapter/lvsa-attention-processor.js";
import type { LvsaCall, ModelAdapter } from "../adapter/model-adapter.js";
import type { HostGeometry } from "../pattern/geometry.js";

export interface ConformanceFixture<Model, Call extends LvsaCall, Result> {
  readonly device: Device;
  readonly adapter: ModelAdapter<Model, Call, Result>;
  readonly model: Model;
  readonly host: HostGeometry;
  /** A call of the first sparse layer with fresh inputs, the same for the same sizes. Freed by `release`. */
  makeCall(latentFrames: number, patchesPerFrame: number): Call;
  /** The layer's dense path. */
  dense(call: Call): Result;
  /** Runs the layer as the model would, through whatever is installed. */
  dispatch(call: Call): Result;
  /** The tensors of a result, video stream first. */
  tensors(result: Result): readonly Tensor[];
  release?(call: Call): void;
}

export interface ConformanceCheck {
  readonly name: string;
  run(): Promise<void>;
}

/** Relative difference that two orders of the same f32 sums may have. */
const ROUNDING = 1e-5;
const FRAMES = 9;
const PATCHES = 6;

/** The checks, in the order they should run. */
export function adapterConformance<Model, Call extends LvsaCall, Result>(
  fixture: ConformanceFixture<Model, Call, Result>,
): ConformanceCheck[] {
  const { adapter, device, model } = fixture;
  const processor = (options: Partial<LvsaProcessorOptions> = {}) =>
    new LvsaAttentionProcessor<Call, Result>(adapter, {
      referenceLatentFrames: 5,
      temporalFactor: 1,
      config: {
        windowSize: 1,
        nFirstFrames: 1,
        keyFrameInterval: 4,
        autoKeyframes: false,
        rotateKeyframes: false,
      },
      ...options,
    });
  const everything: Partial<LvsaProcessorOptions> = {
    config: {
      windowSize: FRAMES,
      nFirstFrames: 0,
      keyFrameInterval: 0,
      autoKeyframes: false,
      rotateKeyframes: false,
    },
    referenceLatentFrames: FRAMES,
  };
  const run = async (call: Call, compute: (call: Call) => Result): Promise<Float32Array[]> => {
    const results = device.scope(() => [...fixture.tensors(compute(call))]);
    const values: Float32Array[] = [];
    for (const tensor of results) {
      values.push(await device.read(tensor));
      tensor.dispose();
    }
    return values;
  };
  const withCall = async (frames: number, body: (call: Call) => Promise<void>) => {
    const call = fixture.makeCall(frames, PATCHES);
    try {
      await body(call);
    } finally {
      fixture.release?.(call);
    }
  };

  return [
    {
      name: "names its family and gives positive geometry",
      async run() {
        check(/^[a-z][a-z0-9-]*$/.test(adapter.family), `family is "${adapter.family}"`);
        const reference = adapter.referenceLatentFrames(fixture.host);
        check(Number.isInteger(reference) && reference > 0, `reference latent frames: ${reference}`);
        const latent = adapter.latentFrames(33, fixture.host);
        check(
          Number.isInteger(latent) && latent > 0 && latent <= 33,
          `33 frames are ${latent} latent frames`,
        );
        const patches = adapter.patchesPerFrame(256, 384, fixture.host);
        check(Number.isInteger(patches) && patches > 0, `256x384 has ${patches} patches`);
      },
    },
    {
      name: "splits Q, K and V into heads, one row per video token",
      run: () =>
        withCall(FRAMES, async (call) => {
          device.scope(() => {
            const { query, key, value } = adapter.extractQkv(call);
            for (const [name, t] of Object.entries({ query, key, value })) {
              check(t.shape.length === 4, `${name} has shape [${t.shape}]`);
              check(t.dim(1) === FRAMES * PATCHES, `${name} has ${t.dim(1)} tokens, not ${FRAMES * PATCHES}`);
            }
            check(query.dim(2) % key.dim(2) === 0, `${query.dim(2)} query heads, ${key.dim(2)} key heads`);
          });
        }),
    },
    {
      name: "equals dense attention where the pattern attends to everything",
      run: () =>
        withCall(FRAMES, async (call) => {
          const lvsa = processor(everything);
          const sparse = await run(call, (c) => lvsa.process(c, fixture.dense));
          check(lvsa.pattern?.isDense === true, "the pattern of a full window is not dense");
          lvsa.dispose();
          same(sparse, await run(call, fixture.dense), ROUNDING);
        }),
    },
    {
      name: "differs from dense attention where frames are left out",
      run: () =>
        withCall(FRAMES, async (call) => {
          const lvsa = processor();
          const sparse = await run(call, (c) => lvsa.process(c, fixture.dense));
          check(lvsa.pattern?.isDense === false, "the pattern leaves no frame out");
          lvsa.dispose();
          const dense = await run(call, fixture.dense);
          check(distance(sparse[0]!, dense[0]!) > 100 * ROUNDING, "sparse and dense outputs are equal");
        }),
    },
    {
      name: "falls back to exactly the dense path on another length, says so once, and refuses in strict mode",
      run: () =>
        withCall(FRAMES - 1, async (call) => {
          const lines: string[] = [];
          const clip = { latentFrames: FRAMES, patchesPerFrame: PATCHES };
          const lvsa = processor({ clip, log: (line) => lines.push(line) });
          const first = await run(call, (c) => lvsa.process(c, fixture.dense));
          await run(call, (c) => lvsa.process(c, fixture.dense));
          same(first, await run(call, fixture.dense), 0);
          check(lines.length === 1 && lines[0]!.startsWith("[LVSA-FALLBACK]"), `log: ${lines.join(" | ")}`);
          const strict = processor({ clip, strict: true });
          const error = await run(call, (c) => strict.process(c, fixture.dense)).catch((e: unknown) => e);
          check(error instanceof LvsaError && error.code === "DENSE_FALLBACK", `strict mode: ${error}`);
        }),
    },
    {
      name: "installs on every sparse layer once, and lets go of all",
      run: () =>
        withCall(FRAMES, async (call) => {
          const before = await run(call, fixture.dispatch);
          const lvsa = processor();
          const installation = adapter.installProcessor(model, lvsa);
          check(installation.blocks > 0, "installed on no block");
          const during = await run(call, fixture.dispatch);
          check(distance(during[0]!, before[0]!) > 100 * ROUNDING, "installing changed nothing");
          let second: unknown;
          try {
            adapter.installProcessor(model, processor());
          } catch (error) {
            second = error;
          }
          check(second instanceof LvsaError, "a second processor took the same layers");
          installation[Symbol.dispose]();
          lvsa.dispose();
          same(await run(call, fixture.dispatch), before, 0);
        }),
    },
    {
      name: "allocates nothing beyond the index buffer over dense, and gives everything back",
      run: () =>
        withCall(FRAMES, async (call) => {
          const level = device.memory().liveBytes;
          const peak = async (compute: (c: Call) => Result) => {
            device.resetPeakMemory();
            await run(call, compute);
            return device.memory().peakBytes - level;
          };
          const dense = await peak(fixture.dense);
          const lvsa = processor();
          await run(call, (c) => lvsa.process(c, fixture.dense));
          const index = device.memory().liveBytes - level;
          const sparse = await peak((c) => lvsa.process(c, fixture.dense));
          check(index <= 4096, `the index buffers of ${FRAMES} frames take ${index} bytes`);
          check(sparse <= dense + index, `peak ${sparse} bytes, dense ${dense}, index buffers ${index}`);
          lvsa.dispose();
          check(device.memory().liveBytes === level, "memory stays behind");
        }),
    },
    {
      name: "shares a clip equally between ranks, or says which lengths can be",
      async run() {
        const clip = { latentFrames: FRAMES, patchesPerFrame: PATCHES };
        check(adapter.setupContextParallel(clip, 2) === (FRAMES * PATCHES) / 2, "half a clip per rank");
        let error: unknown;
        try {
          adapter.setupContextParallel(clip, 4);
        } catch (e) {
          error = e;
        }
        check(error instanceof LvsaError && /\d/.test(error.fix ?? ""), `4 ranks share 54 tokens: ${error}`);
      },
    },
  ];
}

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

function same(actual: readonly Float32Array[], expected: readonly Float32Array[], limit: number): void {
  check(actual.length === expected.length, `${actual.length} streams, expected ${expected.length}`);
  for (const [i, values] of actual.entries()) {
    const error = distance(values, expected[i]!);
    check(error <= limit, `stream ${i} is off by ${error.toExponential(1)}, at most ${limit}`);
  }
}

/** Relative L2 distance; infinite for other lengths and for NaN. */
function distance(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  const value = Math.sqrt(difference / (norm || 1));
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value;
}
