import { describe, expect, it } from "vitest";
import { wanStages } from "./wan-stages.js";

const MODEL = ["diffusers", "WanTransformer3DModel"];
const stages = (transformer: unknown, transformer_2: unknown, boundary_ratio?: unknown) =>
  wanStages({ _class_name: "WanPipeline", transformer, transformer_2, boundary_ratio });

describe("wanStages", () => {
  it("takes both transformers of a two-stage model, and one of a single", () => {
    expect(stages(MODEL, MODEL, 0.875)).toEqual({
      ...{ components: ["transformer", "transformer_2"], boundary: 0.875, notes: [] },
    });
    expect(stages(MODEL, [null, null], null).components).toEqual(["transformer"]);
    expect(stages(MODEL, undefined).components).toEqual(["transformer"]);
  });

  it("takes the low-noise transformer alone where all steps are its own", () => {
    expect(stages([null, null], MODEL, 1)).toMatchObject({
      ...{ components: ["transformer_2"], boundary: undefined },
    });
  });

  it("refuses a boundary with one transformer on the wrong side of it", () => {
    expect(() => stages(MODEL, undefined, 0.875)).toThrow(/some steps need transformer_2/);
    expect(() => stages([null, null], MODEL, 0.875)).toThrow(/some steps need transformer,/);
    expect(() => stages([null, null], MODEL, null)).toThrow(/need transformer,/);
    expect(() => stages(undefined, undefined)).toThrow(expect.objectContaining({ code: "NOT_A_CHECKPOINT" }));
    expect(() => stages(MODEL, MODEL, "0.9")).toThrow(/boundary_ratio/);
  });

  it("notes a transformer that no step uses", () => {
    expect(stages(MODEL, MODEL, null).notes).toEqual(["transformer_2 was not used: boundary_ratio is null."]);
  });
});
