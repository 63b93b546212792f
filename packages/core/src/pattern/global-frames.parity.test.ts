import { goldenCases, goldenJson } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { wanPatterns } from "../testing/wan-patterns.js";
import { AttentionPattern } from "./attention-pattern.js";
import {
  computeAutoKeyframeInterval,
  computeBoundaryGuardFrames,
  computeGlobalFrames,
} from "./global-frames.js";

interface KfiInput {
  readonly W: number;
  readonly n_first: number;
  readonly ref: number;
  readonly scale: number | "nan" | "inf";
}

const interval = (frames: number, { W, n_first, ref, scale }: KfiInput) =>
  computeAutoKeyframeInterval({
    frames,
    window: W,
    nFirstFrames: n_first,
    referenceLatentFrames: ref,
    sparsityScale: scale === "nan" ? Number.NaN : scale === "inf" ? Number.POSITIVE_INFINITY : scale,
  });

const table = goldenJson<{ T_values: number[]; cases: { input: KfiInput; output: number[] }[] }>(
  "pattern/auto_kfi.json",
);
const edges = goldenCases<KfiInput & { T: number }, { value: number } | { error: string }>(
  "pattern/auto_kfi_edges.json",
);
const sparsity = goldenCases<
  KfiInput & { T: number },
  { kfi: number; globals: number; avg_attended: number; sparsity_percent: number }
>("pattern/auto_kfi_sparsity_table.json");
const globals = goldenCases<
  { T: number; n_first: number; kfi: number | null; offsets: number[] },
  number[][]
>("pattern/global_indices.json");
const guards = goldenCases<{ T: number; local_seq: number; P: number; world: number; W: number }, number[]>(
  "pattern/boundary_guards.json",
);
const wan = wanPatterns<{ auto_kfi_columns: string[]; auto_kfi: number[][] }>();

describe("automatic keyframe interval equals the Python original", () => {
  it.skipIf(!table)("over clip lengths", () => {
    for (const { input, output } of table!.cases) {
      expect(
        table!.T_values.map((frames) => interval(frames, input)),
        JSON.stringify(input),
      ).toEqual(output);
    }
  });

  it.skipIf(edges.length === 0)("at the edges; a scale that is not finite is an error", () => {
    for (const { input, output } of edges) {
      if ("error" in output) {
        const code = expect.objectContaining({ code: "INVALID_SPARSITY_SCALE" });
        expect(() => interval(input.T, input), JSON.stringify(input)).toThrow(code);
      } else {
        expect(interval(input.T, input), JSON.stringify(input)).toBe(output.value);
      }
    }
  });

  it.skipIf(wan.length === 0)("in the tables of the Wan cases", () => {
    for (const { name, patterns } of wan) {
      const columns = ["total_frames", "window_size", "n_first_frames", "reference_frames", "sparsity_scale"];
      expect(patterns.auto_kfi_columns, name).toEqual([...columns, "key_frame_interval"]);
      for (const [frames, W, n_first, ref, scale, expected] of patterns.auto_kfi) {
        const input = { W: W!, n_first: n_first!, ref: ref!, scale: scale! };
        expect(interval(frames!, input), `${name}: ${frames} frames, ${JSON.stringify(input)}`).toBe(
          expected,
        );
      }
    }
  });

  it.skipIf(sparsity.length === 0)("with the sparsity that follows", () => {
    for (const { input, output } of sparsity) {
      const pattern = AttentionPattern.build({
        frames: input.T,
        patchesPerFrame: 1,
        window: input.W,
        nFirstFrames: input.n_first,
        keyframeInterval: interval(input.T, input),
      });
      expect(pattern.keyframeInterval).toBe(output.kfi);
      expect(pattern.globalFrames.length).toBe(output.globals);
      expect(pattern.indices.length / pattern.rows).toBe(output.avg_attended);
      // 12 digits: the two sides divide and subtract in different orders.
      expect(100 * (1 - pattern.density)).toBeCloseTo(output.sparsity_percent, 12);
    }
  });
});

describe("global frames equal the Python original", () => {
  it.skipIf(globals.length === 0)("leading and periodic, rotated", () => {
    for (const { input, output } of globals) {
      const actual = input.offsets.map((rotationOffset) =>
        computeGlobalFrames({
          frames: input.T,
          nFirstFrames: input.n_first,
          keyframeInterval: input.kfi,
          rotationOffset,
        }),
      );
      expect(actual, JSON.stringify(input)).toEqual(output);
    }
  });

  it.skipIf(guards.length === 0)("boundary guards between ranks", () => {
    for (const { input, output } of guards) {
      const actual = computeBoundaryGuardFrames({
        frames: input.T,
        localTokens: input.local_seq,
        patchesPerFrame: input.P,
        worldSize: input.world,
        window: input.W,
      });
      expect(actual, JSON.stringify(input)).toEqual(output);
    }
  });
});
