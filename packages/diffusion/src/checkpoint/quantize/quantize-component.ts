/** One component of a checkpoint, opened to be written in another format. */
import {
  DIFFUSERS_WEIGHTS,
  type FolderReader,
  openWeights,
  subFolder,
  TRANSFORMERS_WEIGHTS,
} from "@lvsa/runtime";
import { ModelWeights } from "../../models/definition/model-weights.js";
import { findModelClass } from "../../models/model-classes.js";
import { componentEntries, readJson, readModelIndex } from "../checkpoint-folder.js";
import { type QuantizedFile, type QuantizedFormat, quantizedFile } from "./quantize-weights.js";

export interface QuantizableComponent {
  /** Its folder. */
  readonly name: string;
  /** Name of the new file in it. */
  readonly fileName: string;
  readonly file: QuantizedFile;
  /** Bytes of its tensors as they are. */
  readonly storedBytes: number;
  close(): Promise<void>;
}

/** Parts whose work is products with matrices; autoencoders are convolutions, and small. */
const ROLES = new Set(["transformer", "text encoder", "image encoder"]);

/** Names of the components of a checkpoint folder that can be quantized. @throws ConfigError `NOT_A_CHECKPOINT` */
export async function quantizableComponents(folder: FolderReader): Promise<string[]> {
  return componentEntries(await readModelIndex(folder)).flatMap(({ name, className }) =>
    ROLES.has(findModelClass(className)?.role ?? "") ? [name] : [],
  );
}

/**
 * The caller closes it.
 * @throws WeightsError, ConfigError for a component that does not fit its class
 */
export async function openQuantizable(
  folder: FolderReader,
  name: string,
  format: QuantizedFormat,
): Promise<QuantizableComponent> {
  const entry = componentEntries(await readModelIndex(folder)).find((one) => one.name === name)!;
  const where = `${name}/config.json`;
  const config = await readJson(folder, where);
  const definition = findModelClass(entry.className)!;
  const baseName = definition.library === "transformers" ? TRANSFORMERS_WEIGHTS : DIFFUSERS_WEIGHTS;
  const source = await openWeights(subFolder(folder, name), baseName);
  try {
    const weights = ModelWeights.check(definition, config, source, { where });
    const file = quantizedFile(weights.definition, weights.config, weights, format);
    return {
      ...{ name, fileName: `${baseName}.${file.extension}`, file, storedBytes: weights.totalBytes },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}
