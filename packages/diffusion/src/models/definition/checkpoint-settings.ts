/**
 * `lvsa.json` beside `model_index.json`: what the author of a checkpoint says of it that no class of the folder has a
 * place for. Wan's configs name no training length, for one. diffusers does not read it.
 */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import type { ColourMap } from "../../preview/latent-preview.js";
import { count, positive, size } from "./config-fields.js";
import type { ModelDefaults, ModelGeometry } from "./video-model.js";

export const SETTINGS_FILE = "lvsa.json";

const rgb = z.tuple([z.number(), z.number(), z.number()]);

/** What only one system takes for a separator or a drive is none on any. */
const pathInside = z
  .string()
  .regex(/^(?!.*(^|\/)\.{0,2}(\/|$))[^\\:]+$/, "expected the path of a file in the folder");

const schema = z.strictObject({
  /** Latent frames (rows of the pattern) that the model was trained on. */
  reference_latent_frames: size.optional(),
  /** Half window and leading frames of LVSA, in video frames. */
  window_size: count.optional(),
  n_first_frames: count.optional(),
  max_sequence_length: size.optional(),
  height: size.optional(),
  width: size.optional(),
  num_frames: size.optional(),
  fps: positive.optional(),
  num_inference_steps: size.optional(),
  guidance_scale: z.number().min(0).optional(),
  /** A LoRA in the folder and the preset that it was distilled for: what runs where nobody says how to sample. */
  few_steps: z.strictObject({ lora: pathInside, preset: z.string().min(1) }).optional(),
  /** Colours of latents for previews, from 0 to 1: red, green and blue of each channel, and what is added to them. */
  latent_rgb: z.strictObject({ factors: z.array(rgb).min(1), bias: rgb }).optional(),
});

/** A few-step student that a checkpoint brings along. */
export interface FewSteps {
  /** A LoRA for the transformer: its path inside of the folder. */
  readonly lora: string;
  /** Of `samplingPresets`: what the LoRA was distilled for. */
  readonly preset: string;
}

export interface CheckpointSettings {
  /** In place of the family's. */
  readonly defaults: Partial<ModelDefaults>;
  readonly geometry: Partial<Pick<ModelGeometry, "referenceTokenFrames" | "lvsa">>;
  /** The student that comes with the model, where there is one. */
  readonly fewSteps?: FewSteps;
  /** Of previews, where the author fitted them. */
  readonly latentColours?: ColourMap;
}

export const NO_SETTINGS: CheckpointSettings = { defaults: {}, geometry: {} };

/** @throws ConfigError `BAD_CONFIG` for a value that is none, and for a key that is not known: it would have no effect */
export function parseCheckpointSettings(json: unknown): CheckpointSettings {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    throw new ConfigError("BAD_CONFIG", `${SETTINGS_FILE}: ${z.prettifyError(parsed.error)}`, {
      where: SETTINGS_FILE,
      fix: `Its keys are ${Object.keys(schema.shape).join(", ")}; all may be left out.`,
    });
  }
  const given = parsed.data;
  const defaults = {
    height: given.height,
    width: given.width,
    numFrames: given.num_frames,
    fps: given.fps,
    numInferenceSteps: given.num_inference_steps,
    guidanceScale: given.guidance_scale,
    maxSequenceLength: given.max_sequence_length,
  };
  const lvsa = present({ windowSize: given.window_size, nFirstFrames: given.n_first_frames });
  const colours = given.latent_rgb;
  return {
    ...(colours ? { latentColours: colourRows(colours) } : {}),
    ...(given.few_steps ? { fewSteps: given.few_steps } : {}),
    defaults: present(defaults),
    geometry: {
      ...present({ referenceTokenFrames: given.reference_latent_frames }),
      ...(Object.keys(lvsa).length > 0 ? { lvsa } : {}),
    },
  };
}

/** A row for each colour: the factors of the channels, then the constant. */
function colourRows({ factors, bias }: NonNullable<z.infer<typeof schema>["latent_rgb"]>): ColourMap {
  return ([0, 1, 2] as const).map((k) => [...factors.map((channel) => channel[k]), bias[k]]);
}

function present<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
