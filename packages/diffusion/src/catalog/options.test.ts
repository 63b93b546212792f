/** Options of plans, rehearsals, groups of processes and files of checkpoints: misspelt ones are refused at once. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { openCheckpoint } from "../checkpoint/single-file/open-checkpoint.js";
import { ProcessGroup } from "../node/process-group.js";
import { rehearse } from "../rehearsal/rehearse-memory.js";
import { planGeneration } from "./plan-generation.js";

const plan =
  "model numFrames windowFrames windowOverlap height width numInferenceSteps guidanceScale guidanceScale2 lvsa tokens";
const rehearsal =
  "model numFrames windowFrames height width image guidanceScale precision offload contextParallelSize tokens " +
  "stepCache merged device";
const files =
  "folder files transformer transformer2 textEncoder textEncoder2 vae imageEncoder tokenizer tokenizer2";

it.each([
  ["planGeneration", plan, (o: never) => planGeneration(o)],
  ["rehearse", rehearsal, (o: never) => rehearse(o)],
  ["ProcessGroup.open", "worldSize task folder timeoutSeconds", (o: never) => ProcessGroup.open(o)],
  ["openCheckpoint", files, (o: never) => openCheckpoint(o)],
  ["openCheckpoint, after its files", "isPartial", (o: never) => openCheckpoint({}, o)],
])("%s refuses misspelt options", async (_, names, call) => {
  expect(await silentlyMisspelt({ names: names.split(" "), call })).toEqual([]);
});
