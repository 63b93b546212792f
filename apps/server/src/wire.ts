/** The form in which clients speak: that of OpenAI's videos API, as vllm-omni, SGLang and LiteLLM go on speaking it. */
import { z } from "@hono/zod-openapi";
import type { JobRecord, VideoRequest } from "@lvsa/jobs";
import { UsageError } from "@lvsa/runtime/errors";
import { framesOfSeconds, type ServedModel, shapeOf } from "./models.js";

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Multipart forms carry every value as text; nothing else becomes a number (null is not 0). */
const numeric = <T extends z.ZodNumber>(schema: T) =>
  z.preprocess((value) => (typeof value === "string" && DECIMAL.test(value) ? Number(value) : value), schema);
const positive = numeric(z.number().positive());
const countUpTo = (most: number) => numeric(z.number().int().min(1).max(most));

/** A process is told of it in an argument, which ends at such a character. */
const text = z
  .string()
  .min(1)
  .refine((value) => !value.includes("\0"), "expected text without a null character");

const SEEDS = { least: -(2n ** 63n), most: 2n ** 64n - 1n };
const flag = z.union([z.boolean(), z.enum(["true", "false"]).transform((text) => text === "true")]);

/** Fields of `POST /v1/videos`; the names beyond OpenAI's are vllm-omni's. */
export const createSchema = z
  .strictObject({
    prompt: text,
    model: z.string().min(1).optional(),
    seconds: positive.optional().openapi({ description: "length; the nearest that the model makes" }),
    size: z
      .string()
      .regex(/^[1-9]\d{0,4}x[1-9]\d{0,4}$/, "expected <width>x<height>")
      .optional(),
    negative_prompt: z.union([z.literal(""), text]).optional(),
    num_frames: countUpTo(Number.MAX_SAFE_INTEGER).optional(),
    fps: numeric(z.number().positive().max(1000)).optional(),
    num_inference_steps: countUpTo(1000).optional(),
    guidance_scale: numeric(z.number().min(0)).optional(),
    flow_shift: positive.optional(),
    seed: z
      .union([z.int(), z.string().regex(/^-?\d{1,20}$/, "expected a whole number")])
      .transform(String)
      .refine(
        (seed) => SEEDS.least <= BigInt(seed) && BigInt(seed) <= SEEDS.most,
        "expected a number of 64 bits",
      )
      .optional(),
    lvsa: flag.optional().openapi({ description: "Long-Video Sparse Attention" }),
    user: z.string().optional().openapi({ description: "taken for compatibility; without effect" }),
  })
  .openapi("CreateVideo");
export type CreateVideo = z.infer<typeof createSchema>;

export const remixSchema = z.strictObject({ prompt: text }).openapi("RemixVideo");

export const videoSchema = z
  .object({
    id: z.string(),
    object: z.literal("video"),
    status: z.enum(["queued", "in_progress", "completed", "failed"]),
    progress: z.number(),
    model: z.string(),
    prompt: z.string(),
    seconds: z.string(),
    size: z.string(),
    created_at: z.number().openapi({ description: "seconds since 1970" }),
    completed_at: z.number().nullable(),
    expires_at: z.number().nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    remixed_from_video_id: z.string().nullable(),
    preview_url: z
      .string()
      .nullable()
      .openapi({ description: "path of what the video looks like now; another after each step" }),
  })
  .openapi("Video");
export type Video = z.infer<typeof videoSchema>;

export const errorSchema = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .openapi("Error");

/** @throws UsageError `BAD_REQUEST` for lengths given twice */
export function requestOf(body: CreateVideo, model: ServedModel): VideoRequest {
  const { seconds, num_frames, fps } = body;
  if (seconds !== undefined && num_frames !== undefined)
    throw new UsageError("BAD_REQUEST", "seconds and num_frames both say how long the video is", {
      fix: "Leave one of them out.",
    });
  const [width, height] = body.size?.split("x").map(Number) ?? [];
  const numFrames =
    seconds === undefined ? num_frames : framesOfSeconds(seconds, fps ?? model.defaults.fps, model);
  const optional = {
    negativePrompt: body.negative_prompt,
    ...(body.size === undefined ? {} : { width, height }),
    numFrames,
    fps,
    numInferenceSteps: body.num_inference_steps,
    guidanceScale: body.guidance_scale,
    flowShift: body.flow_shift,
    seed: body.seed,
    lvsa: body.lvsa,
  };
  const given = Object.entries(optional).filter(([, value]) => value !== undefined);
  return { model: model.name, prompt: body.prompt, ...Object.fromEntries(given) };
}

/**
 * @param model undefined when the server does not offer it any more
 * @param previewUrl null where there is none
 */
export function videoOf(job: JobRecord, model: ServedModel | undefined, previewUrl: string | null): Video {
  const { request, result } = job;
  const shape = model && shapeOf(request, model);
  const width = result?.width ?? shape?.width ?? request.width;
  const height = result?.height ?? shape?.height ?? request.height;
  const frames = result?.frames ?? shape?.numFrames ?? request.numFrames ?? 0;
  const fps = result?.fps ?? shape?.fps ?? request.fps ?? 1;
  // OpenAI's form knows no status of its own for it.
  const cancelled = { code: "cancelled", message: "The video was cancelled." };
  return {
    id: job.id,
    object: "video",
    status: job.status === "cancelled" ? "failed" : job.status,
    progress: job.progress,
    model: request.model,
    prompt: request.prompt,
    seconds: String(Number((frames / fps).toFixed(3))),
    size: `${width ?? 0}x${height ?? 0}`,
    created_at: Math.floor(job.createdAt / 1000),
    completed_at: job.status === "completed" && job.finishedAt ? Math.floor(job.finishedAt / 1000) : null,
    expires_at: null,
    error: job.status === "cancelled" ? cancelled : job.error,
    remixed_from_video_id: job.remixedFrom,
    preview_url: previewUrl,
  };
}
