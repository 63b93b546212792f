/** The files that a run is made of, so that a run which goes on is made of the same ones. */
import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { UsageError } from "@lvsa/runtime";
import { fileSource } from "@lvsa/runtime/node";
import type { GenerateCommandOptions } from "../options/generate-options.js";
import { componentFlag, givenComponents } from "../options/model-options.js";
import { choicePaths } from "./checkpoint.js";

/** What a file is for, and its name within that (`--model transformer/config.json`), with its size and a hash. */
export type RunInputs = Readonly<Record<string, string>>;

/** A file up to so many bytes is hashed whole, a larger one in blocks that are spread over it evenly. */
const WHOLE_BYTES = 2 ** 20;
const BLOCKS = 64;
const BLOCK_BYTES = WHOLE_BYTES / BLOCKS;
/** Of a checkpoint's folder, what is read of it. */
const READ = /\.(safetensors|gguf|json|model|txt|jinja)$/;

/** @throws WeightsError for a file that is not there or can not be read */
export async function runInputs(options: GenerateCommandOptions): Promise<RunInputs> {
  const inputs: Record<string, string> = {};
  const add = async (name: string, path: string | undefined) => {
    if (path === undefined) return;
    for (const file of await filesOf(resolve(path)))
      inputs[file === "" ? name : `${name} ${file}`] = await digest(join(resolve(path), file));
  };
  const components = new Set<string>(givenComponents(options));
  for (const [name, path] of Object.entries(choicePaths(options)))
    await add(components.has(name) ? componentFlag(name as never) : `--${name}`, path);
  for (const [i, { path }] of (options.lora ?? []).entries()) await add(`--lora ${i + 1}`, path);
  for (const [i, { path }] of (options.lora2 ?? []).entries()) await add(`--lora-2 ${i + 1}`, path);
  await add("--image", options.image);
  await add("--last-image", options.lastImage);
  await add("--initial-latents", options.initialLatents);
  await add("--mag-ratios", options.magRatios);
  return inputs;
}

/** @throws UsageError `RUN_CHANGED` that names the files which are not as they were */
export function requireSameInputs(before: RunInputs, now: RunInputs): void {
  const changed = Object.keys(before).filter((name) => now[name] !== before[name]);
  if (changed.length === 0) return;
  const named = changed.map((name) => (name in now ? name : `${name} (not there)`));
  const shown = named.slice(0, 5).join(", ") + (named.length > 5 ? ` and ${named.length - 5} more` : "");
  throw new UsageError("RUN_CHANGED", `these files are not those that the run began with: ${shown}`, {
    fix: "Go on with the files that the run began with, or begin a new run.",
  });
}

/** Names within a folder, two levels deep as checkpoints are; of a file its own, which is empty. */
async function filesOf(path: string): Promise<string[]> {
  // What is not there is said where it is read.
  if (!(await stat(path).catch(() => undefined))?.isDirectory()) return [""];
  const found: string[] = [];
  for (const name of (await readdir(path)).sort()) {
    if (name.startsWith(".")) continue;
    const entry = await stat(join(path, name)).catch(() => undefined);
    if (entry?.isFile() && READ.test(name)) found.push(name);
    if (!entry?.isDirectory()) continue;
    for (const child of (await readdir(join(path, name))).sort())
      if (READ.test(child) && (await stat(join(path, name, child)).catch(() => undefined))?.isFile())
        found.push(`${name}/${child}`);
  }
  return found;
}

async function digest(path: string): Promise<string> {
  const file = await fileSource(path);
  try {
    const { size } = file;
    const hash = createHash("sha256");
    const isWhole = size <= WHOLE_BYTES;
    const count = isWhole ? 1 : BLOCKS;
    const length = isWhole ? size : BLOCK_BYTES;
    for (let i = 0; i < count; i++)
      hash.update(await file.read(count === 1 ? 0 : Math.floor((i * (size - length)) / (count - 1)), length));
    return `${size}:${hash.digest("hex").slice(0, 32)}`;
  } finally {
    await file.close();
  }
}
