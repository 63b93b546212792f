/** `guider/guider_config.json`: guidance as a component of its own. Source: diffusers `guiders/classifier_free_guidance.py`. */
import { ConfigError } from "@lvsa/runtime";
import * as z from "zod";
import { parseConfig } from "../../models/model-config.js";
import { GUIDER_DEFAULT_SCALE } from "../../models/transformers/transformer-hunyuan-video15-definition.js";
import { guide } from "../guidance.js";

const configSchema = z.looseObject({
  _class_name: z.string().default("ClassifierFreeGuidance"),
  guidance_scale: z.number().default(GUIDER_DEFAULT_SCALE),
  guidance_rescale: z.number().min(0).default(0),
  use_original_formulation: z.boolean().default(false),
  /** Fractions of the steps between which guidance is on. */
  start: z.number().min(0).max(1).default(0),
  stop: z.number().min(0).max(1).default(1),
  enabled: z.boolean().default(true),
});

export type ClassifierFreeGuidanceConfig = z.infer<typeof configSchema>;

export class ClassifierFreeGuidance {
  readonly config: ClassifierFreeGuidanceConfig;

  constructor(config: ClassifierFreeGuidanceConfig) {
    this.config = config;
  }

  /** From the parsed `guider_config.json`; without one, diffusers' defaults. @throws ConfigError for another class */
  static fromConfig(json: unknown = {}): ClassifierFreeGuidance {
    const config = parseConfig(configSchema, json, "ClassifierFreeGuidance", "guider/guider_config.json");
    if (config._class_name !== "ClassifierFreeGuidance") {
      throw new ConfigError("UNKNOWN_GUIDER", `the guider ${config._class_name} is not supported`, {
        where: "guider/guider_config.json",
        fix: "Known guiders: ClassifierFreeGuidance.",
      });
    }
    return new ClassifierFreeGuidance(config);
  }

  /** The same with another scale. */
  withScale(guidanceScale: number): ClassifierFreeGuidance {
    return new ClassifierFreeGuidance({ ...this.config, guidance_scale: guidanceScale });
  }

  /** Whether a step takes a negative prediction too. Without `step`: whether any step does. */
  isEnabled(step?: number, count = 1): boolean {
    const { enabled, start, stop, guidance_scale: scale, use_original_formulation } = this.config;
    const inRange =
      step === undefined || (Math.trunc(start * count) <= step && step < Math.trunc(stop * count));
    const neutral = use_original_formulation ? 0 : 1;
    // Python's math.isclose with its default tolerance; nothing but 0 itself is close to 0.
    const isNeutral = Math.abs(scale - neutral) <= 1e-9 * Math.max(Math.abs(scale), neutral);
    return enabled && inRange && !isNeutral;
  }

  /** The guided prediction; `negative` is left out where guidance is off. */
  combine(positive: Float32Array, negative: Float32Array | undefined): Float32Array {
    const { guidance_scale: scale, guidance_rescale: rescale, use_original_formulation } = this.config;
    let out = positive;
    if (negative) {
      // positive + scale · (positive − negative) is negative + (scale + 1) · (positive − negative).
      out = guide(positive, negative, use_original_formulation ? scale + 1 : scale);
    }
    return rescale > 0 ? rescaled(out, positive, rescale) : out;
  }
}

/** Moves the spread of `guided` towards that of `positive`, against overexposure. */
function rescaled(guided: Float32Array, positive: Float32Array, amount: number): Float32Array {
  const factor = amount * (deviation(positive) / deviation(guided)) + (1 - amount);
  return guided.map((x) => x * factor);
}

function deviation(x: Float32Array): number {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  return Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (x.length - 1));
}
