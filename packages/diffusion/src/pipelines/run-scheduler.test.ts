import { expect, it } from "vitest";
import { FLOW_SCHEDULERS } from "../schedulers/index.js";
import { runScheduler } from "./run-scheduler.js";

const defaults = { numInferenceSteps: 4 };
const notesOf = (config: object, given: Parameters<typeof runScheduler>[1] = {}) =>
  runScheduler({ classes: FLOW_SCHEDULERS, config }, given, defaults).notes;
const wan = {
  ...{ _class_name: "UniPCMultistepScheduler", use_flow_sigmas: true },
  ...{ prediction_type: "flow_prediction", flow_shift: 3 },
};

it("says which keys of a configuration nobody reads, and what a flow model becomes noise with", () => {
  expect(notesOf(wan)).toEqual([]);
  expect(notesOf({ ...wan, shift: 8 })).toEqual([expect.stringContaining("has shift, which UniPC")]);
  // Of another class, as one that was copied into this checkpoint.
  const { use_flow_sigmas: _, prediction_type: __, ...bare } = wan;
  expect(notesOf(bare, { flowShift: 8 })).toEqual([
    expect.stringContaining("flowShift had no effect"),
    expect.stringMatching(/use_flow_sigmas false and prediction_type epsilon/),
  ]);
  expect(notesOf({ ...wan, prediction_type: "sample" })).toEqual([
    expect.stringContaining("prediction_type sample"),
  ]);
});

it("leaves a class that was asked for by name to its own keys", () => {
  expect(notesOf(wan, { scheduler: "FlowMatchEulerDiscreteScheduler" })).toEqual([]);
  expect(notesOf(wan, { scheduler: { ...wan, flow_shfit: 1 } })).toEqual([
    expect.stringContaining("has flow_shfit"),
  ]);
});
