import { describe, expect, it } from "vitest";
import { parseLvsaConfig } from "./config.js";
import { type ScheduledSteps, scheduledAttention, unreachedSteps } from "./schedule.js";

const schedule: readonly ScheduledSteps[] = [
  { steps: [0, 2], attention: "dense" },
  { steps: [4, 4], attention: "lvsa" },
  { steps: [6, 9], attention: "dense" },
];

describe("an attention schedule", () => {
  it("includes both ends, and is sparse where nothing is said", () => {
    const seen = Array.from({ length: 11 }, (_, step) => scheduledAttention(schedule, step));
    const dense = seen.flatMap((attention, step) => (attention === "dense" ? [step] : []));
    expect(dense).toEqual([0, 1, 2, 6, 7, 8, 9]);
  });

  it("is a setting: none by default, its entries checked", () => {
    expect(parseLvsaConfig().schedule).toEqual([]);
    expect(parseLvsaConfig({ schedule: [...schedule] as never }).schedule).toEqual(schedule);
  });

  it.each([
    [[{ steps: [3, 2], attention: "dense" }], "the first step comes after the last"],
    [
      [
        { steps: [0, 2], attention: "dense" },
        { steps: [2, 3], attention: "lvsa" },
      ],
      "two entries are for one step",
    ],
    [
      [
        { steps: [0, 9], attention: "dense" },
        { steps: [2, 3], attention: "lvsa" },
      ],
      "two entries are for one step",
    ],
    [[{ steps: [-1, 2], attention: "dense" }], "schedule.0.steps.0"],
    [[{ steps: [0], attention: "dense" }], "schedule.0.steps"],
    [[{ steps: [0, 1], attention: "sparse" }], "schedule.0.attention"],
    [[{ steps: [0, 1], attention: "dense", sigma: 1 }], "sigma"],
  ])("refuses %j", (given, message) => {
    expect(() => parseLvsaConfig({ schedule: given as never })).toThrow(
      expect.objectContaining({
        code: "INVALID_LVSA_CONFIG",
        message: expect.stringContaining(message as string),
      }),
    );
  });

  it("says which steps a generation does not reach", () => {
    expect(unreachedSteps(schedule, 10)).toBeUndefined();
    expect(unreachedSteps(schedule, undefined)).toBeUndefined();
    expect(unreachedSteps(schedule, 5)).toBe(
      "the schedule's steps 6-9 reach beyond the 5 steps of this generation",
    );
  });
});
