/** Every checkpoint of the reference data is what its classes ask for: no tensor missing, none left over. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { nodeFolder } from "@lvsa/runtime/node";
import { referenceCases, requireCases } from "@lvsa/runtime/testing";
import { describe, expect, it } from "vitest";
import { planGeneration } from "../catalog/plan-generation.js";
import { describeCheckpoint } from "./describe-checkpoint.js";
import { inspectCheckpoint } from "./inspect-checkpoint.js";

const folders = ["wan", "hunyuan", "cogvideox", "cosmos3"].flatMap((family) =>
  referenceCases(family)
    .map(({ name, directory }) => ({ family, name, folder: join(directory, "checkpoint") }))
    .filter(({ folder }) => existsSync(folder)),
);
if (folders.length === 0) console.warn("no reference checkpoints were found: nothing to inspect");

it("there are cases", () => requireCases(folders));

describe.each(folders)("$family/$name", ({ family, folder }) => {
  it("has no problems, and all of its tensors are accounted for", async () => {
    const inspection = await inspectCheckpoint(nodeFolder(folder));
    for (const component of inspection.components) {
      // Lean checkpoints leave out what their case does not need, such as the tokenizer's folder.
      const problems = component.problems.filter(({ code }) => component.check || code !== "NOT_FOUND");
      expect([component.name, problems]).toEqual([component.name, []]);
      const isModel = existsSync(join(folder, component.name, "config.json"));
      expect([component.name, component.check !== undefined]).toEqual([component.name, isModel]);
      if (!component.check) continue;
      expect(component.check.missing).toEqual([]);
      expect(component.check.unexpected).toEqual([]);
      expect(component.check.wrongShape).toEqual([]);
      expect(component.bytes).toBe(component.files.reduce((sum, file) => sum + file.bytes, 0));
    }
  });

  it("can be planned where it has a transformer and an autoencoder", async () => {
    const inspection = await inspectCheckpoint(nodeFolder(folder));
    const names = inspection.components.filter(({ check }) => check).map(({ name }) => name);
    if (!names.includes("transformer") || !names.includes("vae")) return;
    const model = describeCheckpoint(inspection);
    expect(model.family).toBe(family);
    const plan = planGeneration({ model });
    for (const component of inspection.components.filter(({ check }) => check)) {
      expect(plan.components[component.name]).toMatchObject({
        parameters: component.parameters,
        tensors: component.tensors,
      });
    }
  });
});
