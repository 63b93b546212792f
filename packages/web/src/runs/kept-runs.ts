/** Runs that are not finished, kept in the browser: after a crash, a closed tab or a lost GPU they go on. */
import { encodeRunState, type RunState, readRunState } from "@lvsa/diffusion";
import { blobSource } from "@lvsa/runtime";
import * as z from "zod";
import { readFile, removeEntry, storeDirectory, writeWhole } from "../store/opfs.js";

const RUNS = "runs";
const SUFFIX = ".safetensors";
/** Key in the file's metadata. */
const RECORD = "lvsa_web_run";

const recordSchema = z.object({
  savedAt: z.number(),
  model: z.string(),
  options: z.record(z.string(), z.unknown()),
});

/** What a page needs to offer a run: what it is of, and how far it came. */
export interface KeptRun {
  readonly name: string;
  /** Milliseconds, as `Date.now()`. */
  readonly savedAt: number;
  /** Of the model that ran, as `ModelInfo.name`. */
  readonly model: string;
  /** As they were given. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly step: number;
  readonly steps: number;
}

/** Two files take turns, so that one is whole when the other is cut in the middle. */
export async function keepRun(
  name: string,
  state: RunState,
  record: { readonly model: string; readonly options: Readonly<Record<string, unknown>> },
): Promise<void> {
  const text = JSON.stringify({ savedAt: Date.now(), ...record }, (_key, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  const directory = await storeDirectory(RUNS);
  await writeWhole(directory, fileOf(name, state.step % 2), encodeRunState(state, { [RECORD]: text }));
}

/** The last whole state of a run; undefined where there is none. */
export async function readKeptRun(name: string): Promise<{ run: KeptRun; state: RunState } | undefined> {
  const directory = await storeDirectory(RUNS);
  let last: { run: KeptRun; state: RunState } | undefined;
  for (const turn of [0, 1]) {
    const found = await readOne(directory, name, turn);
    if (found && (!last || found.state.step > last.state.step)) last = found;
  }
  return last;
}

/** Newest first. @throws LvsaError `STORE_UNAVAILABLE` */
export async function keptRuns(): Promise<KeptRun[]> {
  const names = new Set<string>();
  for await (const file of (await storeDirectory(RUNS)).keys()) {
    const [, name] = /^(.*)\.[01]\.safetensors$/.exec(file) ?? [];
    if (name !== undefined) names.add(decodeURIComponent(name));
  }
  const runs = await Promise.all([...names].map(readKeptRun));
  return runs.flatMap((one) => (one ? [one.run] : [])).sort((a, b) => b.savedAt - a.savedAt);
}

export async function removeKeptRun(name: string): Promise<void> {
  const directory = await storeDirectory(RUNS);
  for (const turn of [0, 1]) await removeEntry(directory, fileOf(name, turn));
}

function fileOf(name: string, turn: number): string {
  return `${encodeURIComponent(name)}.${turn}${SUFFIX}`;
}

/** Undefined for a file that was cut while it was written: its other half of the turns is whole. */
async function readOne(
  directory: FileSystemDirectoryHandle,
  name: string,
  turn: number,
): Promise<{ run: KeptRun; state: RunState } | undefined> {
  const file = await readFile(directory, fileOf(name, turn));
  if (!file) return undefined;
  try {
    const read = await readRunState(blobSource(file, file.name));
    const record = recordSchema.parse(JSON.parse(read?.metadata[RECORD] ?? ""));
    if (!read) return undefined;
    const { step, timesteps } = read.state;
    return { run: { name, ...record, step, steps: timesteps.length }, state: read.state };
  } catch {
    return undefined;
  }
}
