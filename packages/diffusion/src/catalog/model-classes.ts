/** The model classes that the catalog knows. */
import { ConfigError } from "@lvsa/runtime";
import { autoencoderKLCogVideoX } from "./classes/autoencoder-kl-cogvideox.js";
import { autoencoderKLHunyuanVideo15 } from "./classes/autoencoder-kl-hunyuan-video15.js";
import { autoencoderKLWan } from "./classes/autoencoder-kl-wan.js";
import { cogVideoXTransformer } from "./classes/cogvideox-transformer.js";
import { cosmos3Transformer } from "./classes/cosmos3-transformer.js";
import { hunyuanTransformer } from "./classes/hunyuan-transformer.js";
import { qwenConditionalGeneration, qwenText } from "./classes/qwen-text.js";
import { t5Encoder, umt5Encoder } from "./classes/t5-encoder.js";
import { clipVision, siglipVision } from "./classes/vision-encoders.js";
import { wanTransformer } from "./classes/wan-transformer.js";
import type { ModelClass } from "./model-class.js";

const CLASSES: ReadonlyMap<string, ModelClass> = new Map(
  [
    wanTransformer,
    hunyuanTransformer,
    cogVideoXTransformer,
    cosmos3Transformer,
    autoencoderKLWan,
    autoencoderKLHunyuanVideo15,
    autoencoderKLCogVideoX,
    umt5Encoder,
    t5Encoder,
    qwenText,
    qwenConditionalGeneration,
    clipVision,
    siglipVision,
  ].map((known) => [known.className, known]),
);

/** Names of all model classes that the catalog knows, transformers first. */
export function modelClassNames(): string[] {
  return [...CLASSES.keys()];
}

export function findModelClass(className: string): ModelClass | undefined {
  return CLASSES.get(className);
}

/** @throws ConfigError `UNKNOWN_MODEL_CLASS`, which lists the known classes */
export function getModelClass(className: string, where?: string): ModelClass {
  const found = CLASSES.get(className);
  if (found !== undefined) return found;
  throw new ConfigError("UNKNOWN_MODEL_CLASS", unknownClassMessage(className), {
    fix: "Use a checkpoint made of the known classes, or see docs/add-a-model.md.",
    ...(where === undefined ? {} : { where }),
  });
}

/** One sentence for an unknown class: what was seen, and what is known. */
export function unknownClassMessage(className: string): string {
  return `unknown model class ${className}; known are ${modelClassNames().join(", ")}.`;
}
