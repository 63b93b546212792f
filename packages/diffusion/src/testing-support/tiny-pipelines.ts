/** Whole generations of the reference's tiny checkpoints, for comparing one kind of arithmetic with another. */
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { floatTensor, type ReferenceCase, referenceCases } from "@lvsa/runtime/testing";
import { CogVideoXPipeline } from "../pipelines/cogvideox/pipeline-cogvideox.js";
import { Cosmos3OmniPipeline } from "../pipelines/cosmos3/pipeline-cosmos3-omni.js";
import { HunyuanVideo15Pipeline } from "../pipelines/hunyuan/pipeline-hunyuan-video15.js";
import type { GenerateOptions } from "../pipelines/video-pipeline.js";
import { WanPipeline } from "../pipelines/wan/pipeline-wan.js";
import { caseSettings } from "./case-settings.js";
import { hasExpected, type OpenedCase, openCase } from "./reference-case.js";

/** By family. */
export const PIPELINES = {
  wan: WanPipeline,
  hunyuan: HunyuanVideo15Pipeline,
  cogvideox: CogVideoXPipeline,
  cosmos3: Cosmos3OmniPipeline,
} as const;
type Family = keyof typeof PIPELINES;

export interface TinyCase {
  readonly family: Family;
  readonly name: string;
  readonly opened: OpenedCase;
  readonly options: Partial<GenerateOptions>;
}

/** The first dense generation from a prompt of every case of every family. */
export async function tinyCases(): Promise<TinyCase[]> {
  const found: TinyCase[] = [];
  for (const family of Object.keys(PIPELINES) as Family[]) {
    for (const reference of referenceCases(family).filter(hasExpected)) {
      const one = await tinyCase(family, reference);
      if (one) found.push(one);
    }
  }
  return found;
}

async function tinyCase(family: Family, reference: ReferenceCase): Promise<TinyCase | undefined> {
  const opened = await openCase(reference);
  const options = family === "wan" ? wanOptions(opened) : promptOptions(opened);
  return options && { family, name: `${family} ${reference.name}`, opened, options };
}

function wanOptions({ tensors, parameters }: OpenedCase): Partial<GenerateOptions> | undefined {
  const texts = parameters.texts as Record<string, { text: string }> | undefined;
  const loop = parameters.loop as Record<string, never> | undefined;
  if (!texts || !loop || !tensors["loop.initial"]) return undefined;
  // Generations from an image have inputs of their own.
  if (tensors["tf.image_projected"] || tensors.image || tensors.image_embeds) return undefined;
  const { data, shape } = floatTensor(tensors, "loop.initial");
  return {
    prompt: texts[loop.prompt!]!.text,
    negativePrompt: texts[loop.negative!]!.text,
    numFrames: loop.num_frames!,
    height: loop.height!,
    width: loop.width!,
    numInferenceSteps: loop.num_inference_steps!,
    guidanceScale: loop.guidance_scale!,
    ...(loop.guidance_scale_2 === undefined ? {} : { guidanceScale2: loop.guidance_scale_2 }),
    maxSequenceLength: loop.max_sequence_length!,
    initialLatents: { data, shape },
  };
}

function promptOptions({ parameters }: OpenedCase): Partial<GenerateOptions> | undefined {
  const runs = Object.values((parameters.runs ?? {}) as Record<string, Record<string, never>>);
  const run = runs.find(({ lvsa }) => !lvsa);
  if (!run || typeof parameters.prompt !== "string") return undefined;
  return {
    prompt: parameters.prompt,
    negativePrompt: parameters.negative_prompt as string,
    numFrames: run.num_frames!,
    height: run.height!,
    width: run.width!,
    numInferenceSteps: run.num_inference_steps!,
    ...caseSettings(parameters),
  };
}

/** The final latents and the first frame's bytes. */
export async function generateTiny(
  device: Device,
  { family, opened, options }: TinyCase,
  precision: "f32" | "f16",
): Promise<{ readonly latents: ArrayLike<number>; readonly frame: Uint8Array }> {
  const pipeline = await PIPELINES[family].fromPretrained(nodeFolder(opened.checkpoint), {
    device,
    precision,
  });
  try {
    const { latents, frames } = await pipeline.generate({ prompt: "", ...options });
    let first: Uint8Array | undefined;
    for await (const frame of frames) first ??= Uint8Array.from(frame);
    return { latents: latents.data, frame: first! };
  } finally {
    pipeline.dispose();
  }
}
