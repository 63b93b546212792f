/** The definitions of all model classes, by class name. */
import type { ConfigError } from "@lvsa/runtime";
import { autoencoderKLCogVideoX } from "./autoencoders/autoencoder-kl-cogvideox-definition.js";
import { autoencoderKLHunyuanVideo15 } from "./autoencoders/autoencoder-kl-hunyuan-video15-definition.js";
import { autoencoderKLWan } from "./autoencoders/autoencoder-kl-wan-definition.js";
import {
  findDefinition,
  type ModelDefinition,
  unknownClass,
  type VideoModelDefinition,
} from "./definition/define-model.js";
import { clipVision, siglipVision } from "./image-encoders/vision-encoder-definitions.js";
import { qwen25VLText } from "./text-encoders/qwen2-5-vl-text-definition.js";
import { t5Encoder, umt5Encoder } from "./text-encoders/t5-encoder-definition.js";
import { cogVideoXTransformer } from "./transformers/transformer-cogvideox-definition.js";
import { cosmos3Transformer } from "./transformers/transformer-cosmos3-definition.js";
import { hunyuanVideo15Transformer } from "./transformers/transformer-hunyuan-video15-definition.js";
import { wanTransformer } from "./transformers/transformer-wan-definition.js";

const TRANSFORMERS: readonly VideoModelDefinition[] = [
  wanTransformer,
  hunyuanVideo15Transformer,
  cogVideoXTransformer,
  cosmos3Transformer,
];

const CLASSES: readonly ModelDefinition[] = [
  ...TRANSFORMERS,
  autoencoderKLWan,
  autoencoderKLHunyuanVideo15,
  autoencoderKLCogVideoX,
  umt5Encoder,
  t5Encoder,
  qwen25VLText,
  clipVision,
  siglipVision,
];

/** Names of all model classes that are known, transformers first. */
export function modelClassNames(): string[] {
  return CLASSES.flatMap(({ className, otherNames }) => [className, ...otherNames]);
}

/** The definitions of all transformers. */
export function videoModels(): readonly VideoModelDefinition[] {
  return TRANSFORMERS;
}

export function findModelClass(className: string): ModelDefinition | undefined {
  return findDefinition(CLASSES, className);
}

/** The transformer of that class. */
export function findVideoModel(className: string): VideoModelDefinition | undefined {
  return findDefinition(TRANSFORMERS, className);
}

/** @throws ConfigError `UNKNOWN_MODEL_CLASS`, which lists the known classes */
export function getModelClass(className: string, where?: string): ModelDefinition {
  const found = findModelClass(className);
  if (found !== undefined) return found;
  throw unknownModelClass(className, where);
}

/** What was seen, and what is known. */
export function unknownModelClass(className: string, where?: string): ConfigError {
  return unknownClass("", className, CLASSES, where);
}
