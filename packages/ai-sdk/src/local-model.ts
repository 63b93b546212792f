/** An engine of this process as a model of the AI SDK. */
import type {
  Experimental_VideoModelV3 as VideoModelV3,
  Experimental_VideoModelV3CallOptions as VideoModelV3CallOptions,
} from "@ai-sdk/provider";
import type { Engine } from "@lvsa/diffusion";
import { checkOptionKinds } from "@lvsa/runtime/errors";
import { encodeVideo, type VideoBackend } from "@lvsa/video";
import { badOption, planCall } from "./options.js";

export interface LocalModelOptions {
  /** Default: the pipeline's class. */
  readonly modelId?: string;
  /** Encoders, e.g. `await nodeVideoBackends()` of `@lvsa/video/node`. Default: the browser's WebCodecs. */
  readonly backends?: readonly VideoBackend[];
}

/**
 * @param engine stays the caller's: hooks and LVSA are installed there, and it is disposed there. Calls wait for each other
 * @throws UsageError `BAD_OPTION` for options that are unknown or of another kind
 */
export function localVideoModel(
  engine: Pick<Engine, "generate" | "pipeline">,
  options: LocalModelOptions = {},
): VideoModelV3 {
  checkOptionKinds({ modelId: "string", backends: "array" }, options, "localVideoModel");
  const { modelId = engine.pipeline.className, backends } = options;
  return {
    specificationVersion: "v3",
    provider: "lvsa",
    modelId,
    maxVideosPerCall: 1,
    async doGenerate(call: VideoModelV3CallOptions) {
      const { prompt, size, duration, fps, seed, image, options, warnings } = planCall(call);
      if (image)
        throw badOption(
          "images are taken by servers only; a local engine takes GenerateOptions.image itself",
        );
      const { lvsa, numFrames, ...rest } = options;
      if (lvsa !== undefined)
        warnings.push({
          type: "unsupported",
          feature: "providerOptions.lvsa.lvsa",
          details: "a local engine has LVSA when installLvsa or hooks were used on it",
        });
      const { defaults } = engine.pipeline;
      const frames =
        numFrames ??
        (duration === undefined
          ? undefined
          : nearestFrames(engine, Math.round(duration * (fps ?? defaults.fps)), size));
      const given = { ...size, fps, seed, numFrames: frames, ...rest };
      const result = await engine.generate({
        prompt,
        ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
        ...(call.abortSignal ? { signal: call.abortSignal } : {}),
      });
      const metadata = { title: prompt, settings: result.settings };
      const file = await encodeVideo({
        ...{
          frames: result.frames,
          frameCount: result.frameCount,
          width: result.width,
          height: result.height,
        },
        ...{ fps: result.fps, metadata, format: "mp4" as const },
        ...(backends ? { backends } : {}),
        ...(call.abortSignal ? { signal: call.abortSignal } : {}),
      });
      for (const message of result.notes) warnings.push({ type: "other", message });
      return {
        videos: [{ type: "binary" as const, data: file.bytes, mediaType: "video/mp4" }],
        warnings,
        response: { timestamp: new Date(), modelId, headers: undefined },
        providerMetadata: {
          lvsa: { videos: [{ seed: String(result.seed), frames: result.frameCount, fps: result.fps }] },
        },
      };
    },
  };
}

/** The nearest number of frames that the model makes: those that its own check takes. */
function nearestFrames(
  engine: Pick<Engine, "pipeline">,
  frames: number,
  size: { readonly width: number; readonly height: number } | undefined,
): number {
  const { height, width } = { ...engine.pipeline.defaults, ...size };
  const fits = (count: number) => {
    try {
      engine.pipeline.clip(count, height, width);
      return true;
    } catch {
      return false;
    }
  };
  for (let away = 0; away < 64; away++) {
    for (const count of [frames - away, frames + away]) if (count >= 1 && fits(count)) return count;
  }
  return frames;
}
