/** The checkpoints that a server offers, under names that its operator gave them. */
import {
  checkVideoSize,
  describeCheckpoint,
  inspectCheckpoint,
  type ModelDefaults,
  type ModelGeometry,
  type ModelTask,
  modelShape,
  nearestFrameCounts,
  requireWholeWeights,
} from "@lvsa/diffusion/catalog";
import type { VideoRequest } from "@lvsa/jobs";
import { UsageError } from "@lvsa/runtime/errors";
import { nodeFolder } from "@lvsa/runtime/node";

export interface ServedModel {
  readonly name: string;
  readonly folder: string;
  readonly task: ModelTask;
  readonly defaults: ModelDefaults;
  readonly geometry: ModelGeometry;
}

/** @throws ConfigError for a folder that is no checkpoint; WeightsError for one that is not whole */
export async function describeModel(name: string, folder: string): Promise<ServedModel> {
  const inspection = await inspectCheckpoint(nodeFolder(folder));
  requireWholeWeights(inspection);
  const model = describeCheckpoint(inspection);
  const { geometry } = modelShape(model);
  return { name, folder, task: model.task, defaults: model.defaults, geometry };
}

export interface RequestLimits {
  /** Characters. */
  readonly maxPromptLength: number;
  /** Video frames times width times height. */
  readonly maxPixels: number;
  readonly maxSteps: number;
}

/** What the request comes to with the model's defaults. */
export interface VideoShape {
  readonly width: number;
  readonly height: number;
  readonly numFrames: number;
  readonly fps: number;
}

export function shapeOf(request: VideoRequest, model: ServedModel): VideoShape {
  const { defaults } = model;
  return {
    width: request.width ?? defaults.width,
    height: request.height ?? defaults.height,
    numFrames: request.numFrames ?? defaults.numFrames,
    fps: request.fps ?? defaults.fps,
  };
}

/** Frames of so many seconds: the nearest number that the model makes, at least one step of it. */
export function framesOfSeconds(seconds: number, fps: number, model: ServedModel): number {
  const counts = nearestFrameCounts(Math.max(1, Math.round(seconds * fps)), model.geometry);
  return counts.reduce((best, count) =>
    Math.abs(count - seconds * fps) < Math.abs(best - seconds * fps) ? count : best,
  );
}

/** @throws UsageError for what this model can not make, or this server does not allow */
export function checkRequest(request: VideoRequest, model: ServedModel, limits: RequestLimits): void {
  const shape = shapeOf(request, model);
  checkVideoSize(shape, model.geometry);
  const pixels = shape.width * shape.height * shape.numFrames;
  if (pixels > limits.maxPixels)
    throw tooMuch(
      `${shape.numFrames} frames of ${shape.width}x${shape.height}`,
      `${limits.maxPixels} pixels in all`,
    );
  for (const prompt of [request.prompt, request.negativePrompt ?? ""]) {
    if (prompt.length > limits.maxPromptLength)
      throw tooMuch(`a prompt of ${prompt.length} characters`, `${limits.maxPromptLength}`);
  }
  if ((request.numInferenceSteps ?? 0) > limits.maxSteps)
    throw tooMuch(`${request.numInferenceSteps} steps`, `${limits.maxSteps}`);
}

function tooMuch(what: string, limit: string): UsageError {
  return new UsageError("OVER_LIMIT", `${what}: this server allows ${limit}`, {
    fix: "Ask for less, or ask the server's operator for more.",
  });
}
