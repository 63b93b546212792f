/** The options with which a checkpoint is opened, as schemas: checked before anything of it is read. */
import type { AttentionDispatcher, Collective } from "@lvsa/core";
import { type ByteSource, checkOptions, type Device } from "@lvsa/runtime";
import * as z from "zod";
import type { PipelineOptions } from "./video-pipeline.js";

/** An object of which these are functions. */
export const withMethods = <T>(names: readonly string[], message: string) =>
  z.custom<T>(
    (value) => names.every((name) => typeof (value as Record<string, unknown> | null)?.[name] === "function"),
    message,
  );

const loraSchema = z.strictObject({
  file: withMethods<ByteSource>(["read", "close"], "expected an opened file (`fileSource`, `blobSource`)"),
  // Which numbers are weights is said with the file's name, when it is opened.
  weight: z.custom<number>((value) => typeof value === "number", "expected a number").optional(),
  component: z.string("expected a component's name").optional(),
});

const offloadSchema = z.strictObject({
  cacheBytes: z.number("expected a number of bytes").min(0, "expected a number of bytes").optional(),
  readsAhead: z.boolean("expected true or false").optional(),
});

const ranks = z
  .custom<Collective>(
    (value) => Number.isSafeInteger((value as Partial<Collective> | null)?.worldSize),
    "expected ranks (a Collective)",
  )
  .optional();

/** Of `PipelineOptions`, but for `attention`, which is another thing for an engine. */
export const openFields = {
  device: z.custom<Device>(
    (value) => typeof (value as Partial<Device> | null)?.info?.limits === "object",
    "expected a device of `createDevice`",
  ),
  precision: z.enum(["auto", "f32", "f16"], "expected auto, f32 or f16").optional(),
  keepLoaded: z.boolean("expected true or false").optional(),
  offload: offloadSchema.optional(),
  // Sizes are checked by the code that is loaded for tiles.
  vaeTiling: z
    .custom((value) => typeof value === "boolean" || Object(value) === value, "expected true, false or sizes")
    .optional(),
  parallel: z.strictObject({ guidance: ranks, context: ranks }).optional(),
  loras: z.array(loraSchema, "expected a list").optional(),
};

const pipelineSchema = z.strictObject({
  ...openFields,
  attention: withMethods<AttentionDispatcher>(["claim", "run"], "expected an AttentionDispatcher").optional(),
});

/** @throws UsageError `BAD_OPTION` for options that are unknown or of another kind */
export function checkPipelineOptions(options: PipelineOptions): void {
  checkOpenOptions(pipelineSchema, options);
}

/** @throws UsageError `BAD_OPTION` that names every option that is unknown or of another kind */
export function checkOpenOptions(schema: z.ZodObject, options: unknown): void {
  try {
    checkOptions(schema, options, "a checkpoint that is opened");
  } catch (error) {
    closeLoras(options);
    throw error;
  }
}

/** They are the pipeline's from the call on, also where it fails. */
function closeLoras(options: unknown): void {
  const { loras } = Object(options) as { readonly loras?: unknown };
  for (const lora of Array.isArray(loras) ? loras : []) {
    const { file } = Object(lora) as { readonly file?: Partial<ByteSource> };
    if (typeof file?.close === "function") void file.close();
  }
}
