/** What a file of a run that is not over says besides its tensors: the command, the clip, and what it ran on. */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { encodeRunState, type HostTensor, type RunState, readRunState } from "@lvsa/diffusion";
import type { CheckpointInspection } from "@lvsa/diffusion/catalog";
import { ConfigError, WeightsError } from "@lvsa/runtime";
import { fileSource } from "@lvsa/runtime/node";
import * as z from "zod";
import { VERSION } from "../version.js";
import { encodeLatents, readLatents } from "./latents-file.js";
import type { OutputPaths } from "./output-check.js";

/** Key in the header's metadata. */
const KEY = "lvsa_run";
const VERSION_OF_FORMAT = 1;

const schema = z.object({
  version: z.literal(VERSION_OF_FORMAT),
  /** Of the program. */
  program: z.string(),
  /** The options of `lvsa generate` as they were typed; paths in them are seen from `folder`. */
  options: z.record(z.string(), z.union([z.string(), z.boolean(), z.array(z.string())])),
  folder: z.string(),
  /** Absolute paths. */
  output: z.string().optional(),
  outputLatent: z.string().optional(),
  /** `--model` and the files of components. */
  model: z.record(z.string(), z.string()),
  /** Files and tensors of the checkpoint. */
  checkpoint: z.string(),
  /** Size and hash of every file that the run is made of, by what it is for. */
  inputs: z.record(z.string(), z.string()),
  /** What computed the steps: others give other bits. */
  device: z.string(),
  /** `LVSA_*`, for hooks. */
  environment: z.record(z.string(), z.string()),
  clip: z.object({
    numFrames: z.int().positive(),
    height: z.int().positive(),
    width: z.int().positive(),
    fps: z.number().positive(),
  }),
  /** For the video's metadata. */
  settings: z.record(z.string(), z.json()),
});

export type RunRecord = z.infer<typeof schema>;
export type GivenOptions = RunRecord["options"];

export type KeptRun =
  | { readonly kind: "state"; readonly record: RunRecord; readonly state: RunState }
  /** Denoising is over. */
  | { readonly kind: "latents"; readonly record: RunRecord | undefined; readonly latents: HostTensor };

/** What a run knows of itself. */
export interface RunFacts
  extends Omit<RunRecord, "version" | "program" | "settings" | "output" | "outputLatent"> {
  readonly paths: OutputPaths;
  readonly settings: Readonly<Record<string, unknown>>;
}

export function newRecord({ paths, settings, ...facts }: RunFacts): RunRecord {
  const { output, outputLatent } = paths;
  return {
    ...{ version: VERSION_OF_FORMAT, program: VERSION, ...facts },
    ...(output === undefined ? {} : { output: resolve(output) }),
    ...(outputLatent === undefined ? {} : { outputLatent: resolve(outputLatent) }),
    settings: JSON.parse(JSON.stringify(settings)) as RunRecord["settings"],
  };
}

/** The bytes of a file that `lvsa resume` takes. */
export function encodeKeptRun(state: RunState, record: RunRecord): Uint8Array {
  return encodeRunState(state, recordText(record));
}

/** The bytes of a file that `lvsa decode` takes. */
export function encodeKeptLatents(latents: HostTensor, record: RunRecord): Uint8Array {
  return encodeLatents(latents, recordText(record));
}

/**
 * Reads a file of a run that was stopped or failed, or any latents file.
 *
 * @throws WeightsError, ConfigError `BAD_RUN_STATE` for a damaged file
 */
export async function readKeptRun(path: string): Promise<KeptRun> {
  const found = await readRunState(await fileSource(path));
  if (found) {
    const record = recordIn(found.metadata, path);
    if (record) return { kind: "state", record, state: found.state };
    throw new ConfigError("BAD_RUN_STATE", "the file does not say which command it is of", {
      where: path,
      fix: "A program that wrote it goes on with it (`resumeFrom`); `lvsa resume` takes files of `lvsa generate`.",
    });
  }
  const { data, shape, metadata } = await readLatents(path);
  return { kind: "latents", record: recordIn(metadata, path), latents: { data, shape } };
}

/** What of a checkpoint must be as it was: names, classes, files and their sizes. */
export function fingerprint({ components }: Pick<CheckpointInspection, "components">): string {
  const facts = components.map(({ name, className, files, config }) => [name, className, files, config]);
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
}

/** For the header of a safetensors file. */
export function recordText(record: RunRecord): Record<string, string> {
  return { [KEY]: JSON.stringify(record) };
}

function recordIn(metadata: Readonly<Record<string, string>>, path: string): RunRecord | undefined {
  const text = metadata[KEY];
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new WeightsError(
    "BAD_RUN_STATE",
    `what the file says of its run can not be read: ${z.prettifyError(parsed.error)}`,
    {
      where: path,
      fix: "Take a file that this version of lvsa wrote.",
    },
  );
}
