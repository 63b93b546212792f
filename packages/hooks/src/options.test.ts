/** Options of hooks: misspelt ones are refused where they are given, not when an engine sets them up. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { SETTINGS } from "./env-schema.js";
import { installFamily } from "./families.js";
import { createForeignHook } from "./foreign-hook.js";
import { lvsaPlugin } from "./plugin.js";
import { inspectHooks, resolveHooks } from "./resolve-hooks.js";
import { StepTracker } from "./step-tracker.js";

const names = [
  ...SETTINGS.map(({ name }) => name),
  ...["env", "families", "hooks", "packages", "logger", "onEvent"],
];
const right = { env: {} };

it.each([
  ["resolveHooks", names, (o: never) => resolveHooks(o), right],
  ["inspectHooks", names, (o: never) => inspectHooks(o), right],
  ["lvsaPlugin", names, (o: never) => lvsaPlugin(o), right],
  [
    "createForeignHook",
    [...names, "gpu", "family", "model"],
    (o: never) => createForeignHook(o),
    { ...right, gpu: {}, family: "wan", model: {} },
  ],
  ["StepTracker", ["cfgPasses", "nBlocks", "onCalibrated"], (o: never) => new StepTracker(o), {}],
  [
    "installFamily",
    ["config", "log"],
    (o: never) => installFamily({ family: "x" } as never, {} as never, o),
    {},
  ],
])("%s refuses misspelt options", async (_, all, call, given) => {
  expect(await silentlyMisspelt({ names: all, call, right: given })).toEqual([]);
});

it("takes right ones", () => {
  expect(resolveHooks({ env: {}, families: [], windowSize: 8 }).settings.windowSize).toBe(8);
});
