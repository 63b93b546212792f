/** Catalog and pattern together against the published configurations: attended frames and LVSA FLOPs. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { getKnownModel } from "@lvsa/diffusion/catalog";
import { readJson, referenceDirectory, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { planModel } from "./plan.js";
import { planToJson } from "./render-plan.js";

interface Horizon {
  readonly horizon: string;
  readonly num_frames: number;
  readonly token_frames: number;
  readonly video_tokens: number;
  readonly lvsa: Readonly<Record<string, unknown>> & {
    readonly mean_density_over_key_frame_offsets: Readonly<
      Record<"offsets" | "min" | "max" | "mean", number>
    >;
  };
  readonly flops: Readonly<Record<string, unknown>>;
  readonly lvsa_over_dense: Readonly<Record<string, number>>;
}

interface Reference {
  readonly model: string;
  readonly components: Readonly<
    Record<string, { parameters: number; tensors: number; bytes: Record<string, number> }>
  >;
  readonly bytes_total: { readonly stored: number };
  readonly runs: readonly { label: string; height: number; width: number; horizons: readonly Horizon[] }[];
}

const folder = join(referenceDirectory(), "configs");
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
const cases = files.sort().flatMap((file) => {
  const reference = readJson<Reference>(join(folder, file));
  return reference.runs.flatMap((run) => run.horizons.map((horizon) => ({ reference, run, horizon })));
});

it("the reference folder holds published configurations", () => requireCases(cases));

describe.each(cases)(
  "$reference.model at $run.height x $run.width, $horizon.horizon",
  ({ reference, run, horizon }) => {
    const plan = (rotateKeyframes: boolean) =>
      planModel({
        model: getKnownModel(reference.model),
        height: run.height,
        width: run.width,
        numFrames: horizon.num_frames,
        lvsa: { autoKeyframes: true, rotateKeyframes },
      });

    it("attends to these frames and takes these FLOPs", () => {
      const json = planToJson(plan(false));
      expect(json).toMatchObject({
        num_frames: horizon.num_frames,
        token_frames: horizon.token_frames,
        video_tokens: horizon.video_tokens,
        bytes_total: { stored: reference.bytes_total.stored },
        flops: horizon.flops,
        lvsa_over_dense: horizon.lvsa_over_dense,
      });
      const { mean_density_over_key_frame_offsets: _, ...pattern } = horizon.lvsa;
      expect(json.lvsa).toMatchObject(pattern);
      for (const [name, { parameters, tensors, bytes }] of Object.entries(reference.components)) {
        expect(json.components).toMatchObject({ [name]: { parameters, tensors, bytes } });
      }
    });

    it("attends to as much at every key frame offset", () => {
      const { offsets, min, max, mean } = horizon.lvsa.mean_density_over_key_frame_offsets;
      const { overOffsets } = plan(true).plan.attended;
      expect([overOffsets.offsets, overOffsets.min, overOffsets.max]).toEqual([offsets, min, max]);
      // A mean of the same numbers, summed in another order.
      expect(overOffsets.mean).toBeCloseTo(mean, 14);
    });
  },
);
