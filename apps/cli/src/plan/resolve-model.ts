/** The model that `--model` means: a checkpoint (folder, file or files), or one that is known by name. */
import {
  describeCheckpoint,
  type FewSteps,
  getKnownModel,
  inspectCheckpoint,
  type ModelDescription,
} from "@lvsa/diffusion/catalog";
import type { FolderReader } from "@lvsa/runtime";
import { findModel, openModel } from "../checkpoint/open-model.js";
import { studentIn } from "../generate/checkpoint.js";
import { givenComponents, type ModelOptions } from "../options/model-options.js";

export interface ResolvedModel {
  readonly model: ModelDescription;
  /** Of a checkpoint. */
  readonly folder?: FolderReader;
  /** The few-step student that a checkpoint's folder brings along. */
  readonly student?: FewSteps | undefined;
}

/** @throws ConfigError `UNKNOWN_MODEL` with the known names, or what is wrong with the checkpoint */
export async function resolveModel(options: ModelOptions): Promise<ResolvedModel> {
  const { model } = options;
  const isName = model !== undefined && (await findModel(model)).kind === undefined;
  if (isName && givenComponents(options).length === 0) return { model: getKnownModel(model) };
  // A plan needs no text encoder where none was given.
  const { folder, path } = await openModel(options, true);
  const described = describeCheckpoint(await inspectCheckpoint(folder));
  return { model: described, folder, student: await studentIn(folder, path) };
}
