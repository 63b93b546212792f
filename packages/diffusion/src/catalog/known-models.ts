/** Models that can be planned by name, without their checkpoint. */
import { UsageError } from "@lvsa/runtime";
import type { KnownModel, ModelDescription } from "./model-description.js";
import { modelDefaults } from "./model-shape.js";
import { cogVideoXModels } from "./models/cogvideox.js";
import { cosmos3Models } from "./models/cosmos3.js";
import { hunyuanModels } from "./models/hunyuan.js";
import { wanModels } from "./models/wan.js";

export function knownModels(): readonly ModelDescription[] {
  return KNOWN.map(described);
}

const KNOWN: readonly KnownModel[] = [...wanModels, ...hunyuanModels, ...cogVideoXModels, ...cosmos3Models];

function described(model: KnownModel): ModelDescription {
  return { ...model, defaults: { ...modelDefaults(model.components), ...model.defaults } };
}

/** By short name, by repository id or by the last part of that; upper and lower case are the same. */
export function findKnownModel(name: string): ModelDescription | undefined {
  const wanted = name.toLowerCase();
  const found = KNOWN.find((model) => {
    const repository = model.repository?.toLowerCase();
    return model.name === wanted || repository === wanted || repository?.split("/")[1] === wanted;
  });
  return found && described(found);
}

/** @throws ConfigError `UNKNOWN_MODEL`, which lists the known names */
export function getKnownModel(name: string): ModelDescription {
  const found = findKnownModel(name);
  if (found !== undefined) return found;
  const names = KNOWN.map((model) => model.name);
  throw new UsageError("UNKNOWN_MODEL", `no model is known by the name ${name}.`, {
    fix: `Give a checkpoint folder, or one of ${names.join(", ")}.`,
  });
}
