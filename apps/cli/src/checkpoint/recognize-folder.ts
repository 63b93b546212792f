/** What a folder without `model_index.json` is instead, and what to type. The one place that knows other layouts. */
import { open, readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { UsageError } from "@lvsa/runtime";
import { shellWord } from "../output/shell-word.js";

const INDEX = "model_index.json";

interface Found {
  /** What it is, as in "… is <what>". */
  readonly what: string;
  readonly fix: string;
}

/** @throws UsageError `WRONG_FOLDER` always */
export async function refuseFolder(path: string): Promise<never> {
  const { what, fix } = (await recognizeFolder(path)) ?? {
    what: "no checkpoint: it has no model_index.json",
    fix: "Give a folder in the diffusers format (the one that holds model_index.json), or a file of weights.",
  };
  throw new UsageError("WRONG_FOLDER", `this folder is ${what}`, { where: path, fix });
}

/** Undefined for a folder that tells nothing. */
export async function recognizeFolder(path: string): Promise<Found | undefined> {
  const names = (await readdir(path).catch(() => [])).sort();
  // The nearest thing first: what has the checkpoint somewhere, then what can be read another way.
  for (const recognize of [
    hubCache,
    parentOfCheckpoint,
    component,
    lora,
    gguf,
    textModel,
    safetensors,
    pickles,
  ]) {
    const found = await recognize(path, names);
    if (found) return found;
  }
  return undefined;
}

/** `models--owner--name` of the hub's cache, and the cache itself. */
async function hubCache(path: string, names: readonly string[]): Promise<Found | undefined> {
  if (names.includes("snapshots")) {
    const main = (await readFile(join(path, "refs/main"), "utf8").catch(() => "")).trim();
    const snapshots = await checkpointsIn(join(path, "snapshots"));
    const best = snapshots.find((snapshot) => basename(snapshot) === main) ?? snapshots[0];
    return {
      what: "a repository in the hub's cache",
      fix: best
        ? `Give its snapshot: --model ${shellWord(best)}`
        : "None of its snapshots has a model_index.json: download the repository whose name ends in -Diffusers.",
    };
  }
  const repositories = names.filter((name) => name.startsWith("models--"));
  if (repositories.length === 0) return undefined;
  const found: string[] = [];
  for (const name of repositories) found.push(...(await checkpointsIn(join(path, name, "snapshots"))));
  return {
    what: "the hub's cache",
    fix:
      found.length > 0
        ? `Give one of its snapshots: ${some(found)}`
        : `It holds no checkpoint in the diffusers format, only ${some(repositories)}.`,
  };
}

async function parentOfCheckpoint(path: string): Promise<Found | undefined> {
  const found = await checkpointsIn(path);
  if (found.length === 0) return undefined;
  return { what: "one level above a checkpoint", fix: `Give ${some(found)}` };
}

/** `transformer` of a checkpoint, for one. */
async function component(path: string): Promise<Found | undefined> {
  const parent = dirname(path);
  if (parent === path || !(await isFile(join(parent, INDEX)))) return undefined;
  return { what: "one component of a checkpoint", fix: `Give the checkpoint: --model ${shellWord(parent)}` };
}

async function lora(path: string, names: readonly string[]): Promise<Found | undefined> {
  const files = names.filter((name) => name.endsWith(".safetensors"));
  let file = files.find((name) => /lora/i.test(name));
  for (const name of files.slice(0, 4)) {
    if (/\.lora_(A|B|down|up)\b|lora_(down|up)\.weight/.test(await headerText(join(path, name))))
      file ??= name;
  }
  if (file === undefined && !names.includes("adapter_config.json")) return undefined;
  return {
    what: "a LoRA, which changes another model",
    fix: `Give the model that it was made for, and add it: --model <checkpoint> --lora ${shellWord(join(path, file ?? files[0] ?? "<file>"))}`,
  };
}

async function gguf(path: string, names: readonly string[]): Promise<Found | undefined> {
  const files = names.filter((name) => name.toLowerCase().endsWith(".gguf"));
  return files.length === 0 ? undefined : givenAsFile(path, files, "GGUF");
}

const TEXT_MODEL = /For(CausalLM|ConditionalGeneration|MaskedLM|SequenceClassification)$/;

async function textModel(path: string, names: readonly string[]): Promise<Found | undefined> {
  if (!names.includes("config.json")) return undefined;
  const text = await readFile(join(path, "config.json"), "utf8").catch(() => "");
  let architectures: unknown;
  try {
    ({ architectures } = JSON.parse(text) as { architectures?: unknown });
  } catch {
    return undefined;
  }
  const name = Array.isArray(architectures)
    ? architectures.find((one) => typeof one === "string")
    : undefined;
  if (typeof name !== "string" || !TEXT_MODEL.test(name)) return undefined;
  return {
    what: `a model of text (${name.slice(0, 80)}), which makes no videos`,
    fix: "Give a video model: `lvsa plan --help` names those that are known.",
  };
}

/** Whether a folder's `config.json` is that of a model of text which no video model uses. */
export async function isTextModel(path: string): Promise<boolean> {
  const config = await readFile(join(path, "config.json"), "utf8").catch(() => "");
  return /For(CausalLM|MaskedLM|SequenceClassification)"/.test(config);
}

async function safetensors(path: string, names: readonly string[]): Promise<Found | undefined> {
  const files = names.filter((name) => name.endsWith(".safetensors"));
  return files.length === 0 ? undefined : givenAsFile(path, files, "weights");
}

function givenAsFile(path: string, files: readonly string[], kind: string): Found {
  const which = files.length === 1 ? "it" : "one of them";
  return {
    what: `a folder of ${kind}, ${some(files)}, and not of the diffusers format`,
    fix: `Give ${which} as a file: --model ${shellWord(join(path, files[0]!))} (and --vae, --text-encoder, --tokenizer where the file has no such part), or download the repository whose name ends in -Diffusers.`,
  };
}

async function pickles(_path: string, names: readonly string[]): Promise<Found | undefined> {
  const files = names.filter((name) =>
    [".pth", ".pt", ".ckpt", ".bin"].includes(extname(name).toLowerCase()),
  );
  if (files.length === 0) return undefined;
  return {
    what: `of the authors' own layout (${some(files)}): PyTorch's pickles hold code and are not read`,
    fix: "Download the repository in the diffusers format, whose name ends in -Diffusers.",
  };
}

/** Folders directly below that are checkpoints. */
async function checkpointsIn(path: string): Promise<string[]> {
  const names = (await readdir(path).catch(() => [])).sort();
  const found: string[] = [];
  for (const name of names) if (await isFile(join(path, name, INDEX))) found.push(join(path, name));
  return found;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isFile() === true;
}

/** The beginning of a safetensors file, which names its tensors. */
async function headerText(path: string): Promise<string> {
  if (!(await isFile(path))) return "";
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1 << 16), 0, 1 << 16, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await file.close();
  }
}

function some(all: readonly string[]): string {
  const [shown, more] = [all.slice(0, 3), all.length - 3];
  return shown.map(shellWord).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
