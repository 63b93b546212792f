/** What a job is: a request, an owner, and how far it is. One record, the same in every queue. */
import * as z from "zod";

const count = z.int().min(1);

/**
 * What a client asks for. Names are those of `GenerateOptions`; a model is a name that the server's operator gave a
 * checkpoint, never a path.
 */
export const videoRequestSchema = z.strictObject({
  model: z.string().min(1).max(200),
  prompt: z.string().min(1),
  negativePrompt: z.string().optional(),
  width: count.optional(),
  height: count.optional(),
  numFrames: count.optional(),
  fps: z.number().positive().max(1000).optional(),
  numInferenceSteps: count.max(1000).optional(),
  guidanceScale: z.number().min(0).optional(),
  flowShift: z.number().positive().optional(),
  /** Digits, so that no 64-bit integer is rounded on its way through JSON. */
  seed: z
    .string()
    .regex(/^-?\d{1,20}$/)
    .optional(),
  /** Long-Video Sparse Attention; default: off, as in `lvsa generate`. */
  lvsa: z.boolean().optional(),
  /** Name of a file in the job's own folder that holds the first frame. */
  image: z
    .string()
    .regex(/^input\.(png|jpg)$/)
    .optional(),
});
export type VideoRequest = z.infer<typeof videoRequestSchema>;

const jobErrorSchema = z.object({ code: z.string(), message: z.string() });
export type JobError = z.infer<typeof jobErrorSchema>;

const jobResultSchema = z.object({
  /** Name of the file in the job's folder. */
  file: z.string(),
  bytes: z.number(),
  width: count,
  height: count,
  frames: count,
  fps: z.number(),
});
export type JobResult = z.infer<typeof jobResultSchema>;

const jobStatusSchema = z.enum(["queued", "in_progress", "completed", "failed", "cancelled"]);
export type JobStatus = z.infer<typeof jobStatusSchema>;

export const jobRecordSchema = z.object({
  id: z.string(),
  /** Whose job it is; nobody else sees it. */
  owner: z.string(),
  request: videoRequestSchema,
  status: jobStatusSchema,
  /** Whole percent. */
  progress: z.int().min(0).max(100),
  /** How many workers have begun it. */
  attempt: z.int().min(0),
  /** Milliseconds since 1970, as all times here. */
  createdAt: z.number(),
  startedAt: z.number().nullable(),
  finishedAt: z.number().nullable(),
  /** The job was asked to stop while a worker had it. */
  cancelRequested: z.boolean(),
  /** Who has it; null when nobody. A worker proves with it that the job is still its own. */
  lease: z.object({ token: z.string(), worker: z.string(), until: z.number() }).nullable(),
  result: jobResultSchema.nullable(),
  error: jobErrorSchema.nullable(),
  remixedFrom: z.string().nullable(),
});
export type JobRecord = z.infer<typeof jobRecordSchema>;
