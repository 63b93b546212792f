import { goldenCases } from "@lvsa/runtime/testing";
import { afterAll, describe, expect, it } from "vitest";
import { computeReferenceLatentFrames } from "./pattern/geometry.js";
import { applyRiflex, identifyIntrinsicFrequency, riflexTable } from "./riflex.js";
import { familyGeometryRules } from "./testing/family-rules.js";
import { wanPatterns } from "./testing/wan-patterns.js";

interface TableInput {
  readonly t_dim: number;
  readonly max_seq_len: number;
  readonly theta: number;
  readonly k: number;
  readonly s: number;
  readonly training_length: number;
  readonly rows: number[];
}
interface ApplyInput {
  readonly s: number;
  readonly k: number | null;
  readonly training_length: number | null;
  readonly sample_frames: number | null;
  readonly has_rope: boolean;
  readonly t_dim: number;
  readonly max_seq_len: number;
  readonly head_dim: number;
}

const choices = goldenCases<{ t_dim: number; training_length: number; theta: number }, number>(
  "pattern/riflex_k.json",
);
const tables = goldenCases<
  TableInput,
  { cos_f64: number[][]; sin_f64: number[][]; cos_f32_row1: number[]; sin_f32_row1: number[] }
>("pattern/riflex_table.json");
const applications = goldenCases<
  ApplyInput,
  { value?: Record<string, unknown>; error?: string; columns_changed: number[]; row21_cos_f32?: number[] }
>("pattern/riflex_apply.json");
const wan = wanPatterns<{
  riflex: { k: number; s: number; t_dim: number; training_length: number; applied: boolean };
}>();

let worst = 0;
afterAll(() => console.log(`riflex double tables: worst absolute error ${worst.toExponential(2)}`));

describe("RIFLEx equals the Python original", () => {
  it.skipIf(choices.length === 0)("which frequency", () => {
    for (const { input, output } of choices) {
      const k = identifyIntrinsicFrequency(input.t_dim, input.training_length, input.theta);
      expect(k, JSON.stringify(input)).toBe(output);
    }
  });

  it.skipIf(tables.length === 0)("the rebuilt table", () => {
    for (const { input, output } of tables) {
      const { t_dim: temporalDim, k, s: scale, training_length: trainingLength, theta } = input;
      const table = riflexTable({
        temporalDim,
        k,
        scale,
        trainingLength,
        theta,
        positions: input.max_seq_len,
      });
      for (const name of ["cos", "sin"] as const) {
        for (const [i, position] of input.rows.entries()) {
          const row = table[name].subarray(position * temporalDim, (position + 1) * temporalDim);
          for (const [j, expected] of output[`${name}_f64`][i]!.entries()) {
            expect(row[2 * j + 1]).toBe(row[2 * j]);
            const error = Math.abs(row[2 * j]! - expected);
            worst = Math.max(worst, error);
            // Powers and cosines of two maths libraries differ in the last bit of a double; the position
            // multiplies what the frequency is off by.
            const tolerance = (1 + position) * 2 ** -51;
            expect(error, `${JSON.stringify(input)} ${name}[${position}, ${2 * j}]`).toBeLessThanOrEqual(
              tolerance,
            );
          }
        }
        const single = Float32Array.from(table[name].subarray(temporalDim, 2 * temporalDim));
        expect([...single], `${JSON.stringify(input)} ${name} row 1`).toEqual(output[`${name}_f32_row1`]);
      }
    }
  });

  it.skipIf(applications.length === 0)("applied to a model's table", () => {
    for (const { input, output } of applications) {
      const length = input.max_seq_len * input.head_dim;
      // 2 is no cosine: every column that is written shows.
      const table = {
        cos: new Float32Array(length).fill(2),
        sin: new Float32Array(length).fill(2),
        rowLength: input.head_dim,
      };
      const host = {
        temporalFactor: 4,
        transformerConfig: input.sample_frames === null ? {} : { sample_frames: input.sample_frames },
      };
      const run = () =>
        applyRiflex(input.has_rope ? table : undefined, {
          temporalDim: input.t_dim,
          scale: input.s,
          trainingLength:
            input.training_length ?? computeReferenceLatentFrames(host, familyGeometryRules.wan),
          k: input.k ?? undefined,
        });
      const label = JSON.stringify(input);
      if (output.error !== undefined) {
        const code = input.has_rope ? "INVALID_RIFLEX_FREQUENCY" : "RIFLEX_UNSUPPORTED";
        expect(run, label).toThrow(expect.objectContaining({ code }));
      } else {
        const report = run();
        expect(
          {
            k: report.k,
            s: report.scale,
            t_dim: report.temporalDim,
            training_length: report.trainingLength,
            applied: report.applied,
          },
          label,
        ).toEqual(output.value);
      }
      const changed = Array.from({ length: input.head_dim }, (_, column) => column).filter(
        (column) => table.cos[column] !== 2 && table.sin[column] !== 2,
      );
      expect(changed.length === 0 ? [] : [changed[0], changed.at(-1)], label).toEqual(output.columns_changed);
      if (output.row21_cos_f32 !== undefined) {
        const row = [...table.cos.subarray(21 * input.head_dim, 21 * input.head_dim + input.t_dim)];
        expect(
          row.filter((_, column) => column % 2 === 0),
          label,
        ).toEqual(output.row21_cos_f32);
      }
    }
  });

  it.skipIf(wan.length === 0)("the settings of the Wan cases", () => {
    for (const { name, patterns } of wan) {
      const { k, s, t_dim, training_length, applied } = patterns.riflex;
      const table = { cos: new Float32Array(t_dim), sin: new Float32Array(t_dim), rowLength: t_dim };
      const report = applyRiflex(table, { temporalDim: t_dim, scale: s, trainingLength: training_length });
      expect([report.k, report.applied], name).toEqual([k, applied]);
    }
  });
});
