/** Runs of the smallest checkpoint, in a folder that is gone afterwards. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { floatTensor, readSafetensors } from "@lvsa/runtime/testing";
import { afterAll } from "vitest";
import { type CliRun, DEVICE, runCli, TINY } from "./run-cli.js";

/** The smallest clip that has more than one latent frame. */
export const SMALL: readonly string[] = [
  ...["--model", TINY, "--prompt", "A cat.", "--num-frames", "9", "--height", "32", "--width", "48"],
  ...["--steps", "2", "--max-sequence-length", "16"],
];

export interface TinyRuns {
  readonly folder: string;
  /** Of a file in the folder. */
  path(name: string): string;
  /** `lvsa generate` of the small clip; options that come again count. */
  generate(...args: string[]): Promise<CliRun>;
}

/** A folder for the tests of a file. */
export async function tinyRuns(label: string): Promise<TinyRuns> {
  const folder = await mkdtemp(join(tmpdir(), `lvsa-${label}-`));
  afterAll(() => rm(folder, { recursive: true }));
  return {
    folder,
    path: (name) => join(folder, name),
    generate: (...args) => runCli(["generate", ...DEVICE, ...SMALL, ...args]),
  };
}

/** The latents that a run wrote. */
export async function latentsOf(file: string): Promise<{ data: Float32Array; shape: readonly number[] }> {
  return floatTensor(await readSafetensors(file), "latents");
}
