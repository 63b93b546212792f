/** What LoRAs change of a checkpoint, for a plan of its memory. */
import type { FolderReader } from "@lvsa/runtime";
import { readModelIndex } from "../checkpoint/checkpoint-folder.js";
import { type LoraOptions, LoraSet } from "../lora/lora-set.js";
import { videoModels } from "../models/model-classes.js";
import type { MergedTensors } from "./random-weights.js";

/**
 * Tensors that are read with LoRAs added to them, and so are not quantized in GPU memory. Closes the files.
 *
 * @param dtype `f32` where the generation runs in f32
 * @throws as opening an engine with them does
 */
export async function mergedTensors(
  folder: FolderReader,
  loras: readonly LoraOptions[],
  dtype: MergedTensors["dtype"],
): Promise<MergedTensors> {
  const set = await LoraSet.open(loras, folder, await readModelIndex(folder), videoModels(), dtype);
  const { ranks } = set;
  await set.close();
  return { ranks, dtype };
}
