/** All components of a checkpoint against their definitions, before anything of them is loaded. */
import {
  DIFFUSERS_WEIGHTS,
  type FolderReader,
  openWeights,
  subFolder,
  TRANSFORMERS_WEIGHTS,
} from "@lvsa/runtime";
import { findDefinition, type ModelDefinition, unknownClass } from "../models/definition/define-model.js";
import { listed, ModelWeights } from "../models/definition/model-weights.js";
import { type ComponentEntry, componentEntries, type ModelIndex, readJson } from "./checkpoint-folder.js";

export interface CheckedComponents {
  /** What the user should know though it stops nothing: tensors that no part of the model reads. */
  readonly notes: readonly string[];
}

/** Parts that a pipeline loads itself: of a class that it does not know there is no doing without them. */
const NEEDED = /^(transformer|vae|text_encoder|image_encoder)(_\d+)?$/;

/**
 * Reads the configurations and the headers of the weights of every component that a pipeline loads, and compares them
 * with the definitions: keys, names, shapes, number formats.
 *
 * @param definitions of the classes that the pipeline loads
 * @throws WeightsError, ConfigError for the first component that does not fit, naming file and tensor or key
 */
export async function checkComponents(
  folder: FolderReader,
  index: ModelIndex,
  definitions: readonly ModelDefinition[],
): Promise<CheckedComponents> {
  const entries = componentEntries(index).filter(
    ({ name, className }) => findDefinition(definitions, className) !== undefined || NEEDED.test(name),
  );
  const results = await Promise.allSettled(
    entries.map((entry) => checkComponent(folder, entry, definitions)),
  );
  const notes: string[] = [];
  for (const [i, result] of results.entries()) {
    if (result.status === "rejected") throw result.reason;
    const unused = result.value;
    if (unused.length > 0)
      notes.push(`Tensors of ${entries[i]!.name} that were not used: ${listed(unused)}.`);
  }
  return { notes };
}

/** Returns the tensors that the component has no use for. */
async function checkComponent(
  folder: FolderReader,
  { name, className, library }: ComponentEntry,
  definitions: readonly ModelDefinition[],
): Promise<readonly string[]> {
  const definition = findDefinition(definitions, className);
  if (!definition) throw unknownClass(`${name} is of the`, className, definitions, "model_index.json");
  const where = `${name}/config.json`;
  const config = await readJson(folder, where);
  const baseName = library === "transformers" ? TRANSFORMERS_WEIGHTS : DIFFUSERS_WEIGHTS;
  const source = await openWeights(subFolder(folder, name), baseName);
  try {
    const weights = ModelWeights.check(definition, config, source, { where });
    weights.definition.configToRun(config, where);
    return weights.unused;
  } finally {
    await source.close();
  }
}
