import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { buildCompactLayout } from "./compact-layout.js";
import { PatternController } from "./pattern-controller.js";

interface Input {
  readonly T: number;
  readonly P: number;
  readonly W: number;
  readonly n_first: number;
  readonly kfi: number | null;
  readonly ref: number;
  readonly scale: number;
  readonly rank: number;
  readonly world: number;
  readonly ops: string[];
}
type State = Record<string, unknown>;

const sequences = goldenCases<Input, { construct_text: string; states: State[] }>(
  "pattern/processor_sequences.json",
);

/** The controller under the names of the golden file. */
function snapshot(controller: PatternController): State {
  const { pattern } = controller;
  const compact = buildCompactLayout(pattern);
  const widest = pattern.frameSegments.map(({ frame }) => {
    const { lo, hi } = pattern.windowBounds(frame);
    let attended = pattern.globalFrames.length;
    for (let f = lo; f <= hi; f++) if (!pattern.isGlobal(f)) attended++;
    return attended;
  });
  return {
    window_size: controller.windowSize,
    sparsity_scale: controller.sparsityScale,
    kfi: controller.keyframeInterval,
    offset: pattern.rotationOffset,
    globals: pattern.globalFrames,
    guards: pattern.boundaryGuards,
    attended_C: Math.max(...widest),
    compact_n: compact.frames.length,
    nnz: compact.indices.length,
    window_ctx_tokens: Object.fromEntries(
      pattern.frameSegments.map(({ frame }) => [
        String(frame),
        pattern.windowSpans(frame).reduce((sum, span) => sum + span.endToken - span.startToken, 0),
      ]),
    ),
  };
}

describe("pattern controller equals the Python processor", () => {
  it.skipIf(sequences.length === 0)("after every call of every sequence", () => {
    for (const { input, output } of sequences) {
      const controller = new PatternController({
        frames: input.T,
        patchesPerFrame: input.P,
        window: input.W,
        nFirstFrames: input.n_first,
        keyframeInterval: input.kfi,
        worldSize: input.world,
        rank: input.rank,
        referenceLatentFrames: input.ref,
        sparsityScale: input.scale,
      });
      if (input.rank === 0) expect(`${controller.describe()}\n`).toBe(output.construct_text);

      // A plan made for one pattern is good as long as the controller still has that pattern.
      let planned: unknown;
      let expected: State = {};
      const states = [...output.states];
      const check = (rebuilt: boolean) => {
        const { after, rebuilt: wasRebuilt, plan_valid, ...changed } = states.shift()!;
        const label = `${JSON.stringify(input)} after ${after}`;
        expected = { ...expected, ...changed };
        expect(rebuilt, label).toBe(wasRebuilt);
        expect(snapshot(controller), label).toEqual(expected);
        if (plan_valid !== undefined) expect(planned === controller.pattern, label).toBe(plan_valid);
      };
      check(true);
      for (const op of input.ops) {
        const [name, argument] = op.split(" ");
        const value = Number(argument);
        if (name === "plan") planned = controller.pattern;
        else if (name === "step") check(controller.setStep(value));
        else if (name === "window") check(controller.setWindowSize(value));
        else if (name === "scale") check(controller.setSparsityScale(value));
        else throw new Error(`unknown operation ${op}`);
      }
      expect(states, JSON.stringify(input)).toEqual([]);
    }
  });
});
