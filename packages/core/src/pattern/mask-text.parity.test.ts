import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { AttentionPattern } from "./attention-pattern.js";
import { maskText } from "./mask-text.js";

const compact = goldenCases<{ T: number; W: number; globals: number[]; expand: boolean }, string>(
  "pattern/mask_text_compact.json",
);
const wide = goldenCases<
  { T: number; P: number; W: number; n_first: number; kfi: number | null; expand: boolean },
  { wide: string; compact: string }
>("pattern/mask_text_wide.json");

describe("mask pictures equal the Python original, character for character", () => {
  it.skipIf(compact.length === 0)("compact", () => {
    for (const { input, output } of compact) {
      const source = {
        frames: input.T,
        window: input.W,
        globalFrames: input.globals,
        expandWindow: input.expand,
      };
      expect(maskText(source, { style: "compact" })).toBe(output);
    }
  });

  it.skipIf(wide.length === 0)("wide and compact of one pattern", () => {
    for (const { input, output } of wide) {
      const pattern = AttentionPattern.build({
        frames: input.T,
        patchesPerFrame: input.P,
        window: input.W,
        nFirstFrames: input.n_first,
        keyframeInterval: input.kfi,
        expandWindow: input.expand,
      });
      expect(maskText(pattern, { style: "wide" })).toBe(output.wide);
      expect(maskText(pattern, { style: "compact" })).toBe(output.compact);
    }
  });
});
