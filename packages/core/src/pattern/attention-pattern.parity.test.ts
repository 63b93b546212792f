import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { wanPatterns } from "../testing/wan-patterns.js";
import { AttentionPattern } from "./attention-pattern.js";
import { buildCompactLayout, type FrameCopy } from "./compact-layout.js";
import { computeGlobalFrames, rotationOffsetOfStep } from "./global-frames.js";

interface MetadataInput {
  readonly T: number;
  readonly P: number;
  readonly W: number;
  readonly n_first: number;
  readonly kfi: number | null;
  readonly rank: number;
  readonly world: number;
  readonly expand: boolean;
  readonly offset: number;
  readonly guards: number[];
}
type Golden = Readonly<Record<string, unknown>>;

interface WanPattern extends Golden {
  readonly total_latent_frames: number;
  readonly num_patches: number;
  readonly window_size: number;
  readonly n_first_frames: number;
  readonly key_frame_interval: number | null;
  readonly expand_window: boolean;
  readonly rank: number;
  readonly world: number;
  readonly offset: number;
  readonly boundary_guards?: number[];
}

const metadata = goldenCases<MetadataInput, Golden>("pattern/metadata.json");
const wan = wanPatterns<{
  runs: Record<string, WanPattern>;
  context_parallel: WanPattern[];
  loop_globals_per_step: Record<string, number[][]>;
}>();

const pairs = (copies: readonly FrameCopy[]) => copies.map((c) => [c.sourceToken, c.destinationToken]);
const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);

/** The pattern under the names of the golden files. */
function describePattern(p: AttentionPattern) {
  const size = p.patchesPerFrame;
  const compact = buildCompactLayout(p);
  // The original lists whole windows here, also where another rank holds the frame.
  const attended = p.frameSegments.map(({ frame }) => {
    const { lo, hi } = p.windowBounds(frame);
    return [...new Set([...p.globalFrames, ...range(lo, hi + 1)])].sort((a, b) => a - b);
  });
  const widest = Math.max(...attended.map((row) => row.length));
  const local = p.frameSegments.filter(({ frame }) => !p.isGlobal(frame));
  const frames = range(0, p.frames);
  return {
    total_latent_frames: p.frames,
    num_patches: size,
    window_size: p.window,
    n_first_frames: p.nFirstFrames,
    key_frame_interval: p.keyframeInterval,
    kfi: p.keyframeInterval,
    expand_window: p.expandWindow,
    rank: p.rank,
    world: p.worldSize,
    offset: p.rotationOffset,
    boundary_guards: p.boundaryGuards,
    density: p.density,
    local_seq: p.localTokens,
    global_token_start: p.firstToken,
    global_indices: p.globalFrames,
    local_frames: p.frameSegments.map((s) => [s.frame, s.startToken, s.endToken]),
    window_ctx: Object.fromEntries(
      p.frameSegments.map(({ frame }) => [
        String(frame),
        p.windowSpans(frame).map((s) => [s.startToken, s.endToken]),
      ]),
    ),
    global_frame_mask: frames.map((frame) => (p.isGlobal(frame) ? 1 : 0)),
    window_bounds: frames.map((frame) => Object.values(p.windowBounds(frame))),
    attended_C: widest,
    attended_indices: attended.map((row) => range(0, widest).map((i) => row[i] ?? row.at(-1))),
    attended_frames: Object.fromEntries(
      p.frameSegments.map(({ frame }, row) => [String(frame), [...p.attendedFrames(row)]]),
    ),
    fi_indptr: [...compact.indptr],
    fi_indices: [...compact.indices],
    fi_M: compact.queryTokens,
    fi_N: compact.keyTokens,
    fi_MB: compact.queryBlocks,
    fi_compact_n: compact.frames.length,
    fi_global_copies: pairs(compact.globalCopies),
    fi_local_copies: pairs(compact.localCopies),
    global_src_idx: range(0, p.globalFrames.length * size),
    global_dst_idx: p.globalFrames.flatMap((frame) => range(frame * size, (frame + 1) * size)),
    local_src_idx: local.flatMap((s) => range(s.startToken, s.endToken)),
    local_dst_idx: local.flatMap((s) => range(p.firstToken + s.startToken, p.firstToken + s.endToken)),
  } satisfies Golden;
}

/** Every field that the golden file has, and no field of it unknown to us. */
function expectGolden(pattern: AttentionPattern, golden: Golden, label: string) {
  const actual: Golden = describePattern(pattern);
  for (const [field, expected] of Object.entries(golden)) {
    // Links a step of the Wan case to an earlier one with the same tensors; says nothing about the pattern.
    if (field === "same_as_step") continue;
    expect(actual, `${label}: unknown field`).toHaveProperty([field]);
    expect(actual[field], `${label}: ${field}`).toEqual(expected);
  }
}

const buildWan = (g: WanPattern) =>
  AttentionPattern.build({
    frames: g.total_latent_frames,
    patchesPerFrame: g.num_patches,
    window: g.window_size,
    nFirstFrames: g.n_first_frames,
    keyframeInterval: g.key_frame_interval,
    rotationOffset: g.offset,
    expandWindow: g.expand_window,
    worldSize: g.world,
    rank: g.rank,
    // Computed by us, compared with the golden's.
  });

describe("patterns equal the Python original", () => {
  it.skipIf(metadata.length === 0)("per rank, with the compact layout", () => {
    for (const { input, output } of metadata) {
      const options = {
        frames: input.T,
        patchesPerFrame: input.P,
        window: input.W,
        nFirstFrames: input.n_first,
        keyframeInterval: input.kfi,
        rotationOffset: input.offset,
        expandWindow: input.expand,
        worldSize: input.world,
        rank: input.rank,
        boundaryGuards: input.guards,
      };
      const label = JSON.stringify(input);
      if ("error" in output) {
        const code = expect.objectContaining({ code: "SEQUENCE_NOT_DIVISIBLE" });
        expect(() => AttentionPattern.build(options), label).toThrow(code);
        // The same numbers as the original's message, in our words.
        for (const number of String(output.message).match(/\d+/g) ?? []) {
          expect(() => AttentionPattern.build(options), label).toThrow(number);
        }
      } else {
        expectGolden(AttentionPattern.build(options), output, label);
      }
    }
  });

  it.skipIf(wan.length === 0)("in the runs of the Wan cases", () => {
    for (const { name, patterns } of wan) {
      for (const [run, golden] of Object.entries(patterns.runs)) {
        expectGolden(buildWan(golden), golden, `${name} ${run}`);
      }
    }
  });

  it.skipIf(wan.length === 0)("on the ranks of the Wan cases, guards included", () => {
    for (const { name, patterns } of wan) {
      for (const golden of patterns.context_parallel) {
        expectGolden(buildWan(golden), golden, `${name} rank ${golden.rank} of ${golden.world}`);
      }
    }
  });

  it.skipIf(wan.length === 0)("step by step in the Wan cases: step i uses offset i", () => {
    for (const { name, patterns } of wan) {
      const { fixed, rotate } = patterns.loop_globals_per_step;
      // The loop has the settings of a run with an interval that starts with the same global frames.
      const golden = Object.values(patterns.runs).find(
        (run) =>
          run.offset === 0 &&
          (run.key_frame_interval ?? 0) > 0 &&
          JSON.stringify(run.global_indices) === JSON.stringify(fixed![0]),
      );
      expect(golden, name).toBeDefined();
      const globalFrames = (step: number) =>
        computeGlobalFrames({
          frames: golden!.total_latent_frames,
          nFirstFrames: golden!.n_first_frames,
          keyframeInterval: golden!.key_frame_interval,
          rotationOffset: rotationOffsetOfStep(step, golden!.key_frame_interval),
        });
      expect(
        rotate!.map((_, step) => globalFrames(step)),
        name,
      ).toEqual(rotate);
      expect(
        fixed!.map(() => globalFrames(0)),
        name,
      ).toEqual(fixed);
    }
  });
});
