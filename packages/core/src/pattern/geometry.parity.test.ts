import { isLvsaError } from "@lvsa/runtime";
import { goldenCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { familyGeometryRules } from "../testing/family-rules.js";
import {
  computeLatentFrames,
  computePatchesPerFrame,
  computeReferenceLatentFrames,
  type GeometryRules,
  type HostGeometry,
} from "./geometry.js";
import { computeSequenceLength, type SequenceLengthOptions } from "./sequence-length.js";

interface Clip {
  readonly num_frames: number;
  readonly height: number;
  readonly width: number;
}
interface Pipe {
  readonly vae_scale_factor_temporal?: number;
  readonly vae_scale_factor_spatial?: number;
  readonly config: Record<string, unknown>;
}
type Result = { value: number } | { error: string };

const models = goldenCases<
  Clip & { family: keyof typeof familyGeometryRules; pipe: Pipe },
  { latent_frames: Result; patches_per_frame: Result; reference: Result }
>("pattern/model_geometry.json");
const cosmos3 = goldenCases<Clip, { latent_frames: number; patches_per_frame: number; reference: number }>(
  "pattern/cosmos3_geometry.json",
);
const lengths = goldenCases<
  Clip & {
    patch_size: number | number[] | null | "absent";
    vae_t: number;
    vae_s: number;
    world: number;
    rank: number;
  },
  { text: string } & (
    | { value: { seq_len: number; latent_frames: number; num_patches: number } }
    | { error: string; message: string }
  )
>("pattern/seq_len.json");

/** A value, or that it was an error of ours. */
function attempt(compute: () => number): { value: number } | { error: true } {
  try {
    return { value: compute() };
  } catch (error) {
    if (!isLvsaError(error)) throw error;
    return { error: true };
  }
}
const expectedResult = (result: Result) => ("error" in result ? { error: true } : result);

describe("clip geometry equals the Python original", () => {
  it.skipIf(models.length === 0)("per model family", () => {
    for (const { input, output } of models) {
      const rules: GeometryRules = familyGeometryRules[input.family];
      const host: HostGeometry = {
        spatialFactor: input.pipe.vae_scale_factor_spatial,
        temporalFactor: input.pipe.vae_scale_factor_temporal,
        transformerConfig: input.pipe.config,
      };
      expect(
        {
          latent_frames: attempt(() => computeLatentFrames(input.num_frames, host, rules)),
          patches_per_frame: attempt(() => computePatchesPerFrame(input.height, input.width, host, rules)),
          reference: attempt(() => computeReferenceLatentFrames(host, rules)),
        },
        JSON.stringify(input),
      ).toEqual({
        latent_frames: expectedResult(output.latent_frames),
        patches_per_frame: expectedResult(output.patches_per_frame),
        reference: expectedResult(output.reference),
      });
    }
  });

  it.skipIf(cosmos3.length === 0)("Cosmos 3, whose partial patches count", () => {
    const host: HostGeometry = { transformerConfig: {} };
    const rules = familyGeometryRules.cosmos3;
    for (const { input, output } of cosmos3) {
      expect(
        {
          latent_frames: computeLatentFrames(input.num_frames, host, rules),
          patches_per_frame: computePatchesPerFrame(input.height, input.width, host, rules),
          reference: computeReferenceLatentFrames(host, rules),
        },
        JSON.stringify(input),
      ).toEqual(output);
    }
  });

  it.skipIf(lengths.length === 0)("sequence length, its log line and its errors", () => {
    for (const { input, output } of lengths) {
      const options = {
        numFrames: input.num_frames,
        height: input.height,
        width: input.width,
        ...(input.patch_size === "absent" ? {} : { patchSize: input.patch_size }),
        temporalFactor: input.vae_t,
        spatialFactor: input.vae_s,
        worldSize: input.world,
      } as SequenceLengthOptions;
      const label = JSON.stringify(input);
      if ("error" in output) {
        // The original's two other errors are accidents (a type error, a division by zero).
        const code = output.error === "AssertionError" ? "SEQUENCE_NOT_DIVISIBLE" : "INVALID_GEOMETRY";
        expect(() => computeSequenceLength(options), label).toThrow(expect.objectContaining({ code }));
        if (code === "INVALID_GEOMETRY") continue;
        for (const number of output.message.match(/\d+/g) ?? []) {
          expect(() => computeSequenceLength(options), label).toThrow(number);
        }
      } else {
        const actual = computeSequenceLength(options);
        expect(
          {
            seq_len: actual.sequenceLength,
            latent_frames: actual.latentFrames,
            num_patches: actual.patchesPerFrame,
          },
          label,
        ).toEqual(output.value);
        // Rank 0 prints. A Python tuple shows round brackets, which JSON does not keep.
        const text = output.text.replace(/\(([\d, ]+)\)/, "[$1]");
        if (input.rank === 0) expect(`${actual.logLine}\n`).toBe(text);
      }
    }
  });
});
