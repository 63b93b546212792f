/** From what a user picked or dropped to a model (a checkpoint's folder, a folder that holds one, single files) and LoRAs for it. */
import { UsageError } from "@lvsa/runtime/errors";
import type { ModelSource, PickedFile } from "../model-source.js";
import { isLoraFile } from "./lora-file.js";

/** At least one of both is there. */
export interface GivenFiles {
  readonly model?: Extract<ModelSource, { kind: "files" }>;
  /** LoRAs, for the model beside them or for one that is open: `ClipOptions.loras`. */
  readonly loras: readonly File[];
}

/**
 * Files of an `<input type="file" multiple>`, with or without `webkitdirectory`.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` and no file of weights among them
 */
export function pickedFiles(files: Iterable<File>): Promise<GivenFiles> {
  return sorted([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/**
 * What was dropped on the page. To be called in the `drop` event: the browser forgets the items after it.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` and no file of weights inside
 */
export async function droppedFiles(data: Pick<DataTransfer, "items" | "files">): Promise<GivenFiles> {
  const items = Array.from(data.items).filter(({ kind }) => kind === "file");
  // All at once: after the event they are gone.
  const dropped = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  if (dropped.length === 0) return pickedFiles(Array.from(data.files));
  const files: PickedFile[] = [];
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, "", files);
    else if (file) files.push({ path: file.name, file });
  }
  return sorted(files);
}

/** LoRAs inside of a checkpoint's folder stay there: its own settings name them. */
async function sorted(files: readonly PickedFile[]): Promise<GivenFiles> {
  const root = checkpointRoot(files);
  const loras: PickedFile[] = [];
  for (const one of files) {
    const isInside = root !== undefined && one.path.startsWith(root);
    if (!isInside && (await isLoraFile(one.file))) loras.push(one);
  }
  const others = files.filter((one) => !loras.includes(one));
  const hasModel = loras.length === 0 || root !== undefined || others.some(({ path }) => WEIGHTS.test(path));
  return { ...(hasModel ? { model: modelOf(others) } : {}), loras: loras.map(({ file }) => file) };
}

/** Single files of weights, by the names of all formats that there are: what can not be read is refused by its content. */
const WEIGHTS = /\.(safetensors|sft|gguf|pth?|ckpt|bin)$/i;

/**
 * The folder of the topmost `model_index.json`, by paths from there, with the single files that lay beside it; without one,
 * the single files.
 * @throws UsageError `NO_CHECKPOINT` when there is neither
 */
export function modelOf(files: readonly PickedFile[]): Extract<ModelSource, { kind: "files" }> {
  const isAlone = ({ path }: PickedFile) => depth(path) === 1;
  const root = checkpointRoot(files);
  if (root !== undefined) {
    const inside = files.filter(({ path }) => path.startsWith(root));
    // Who drops a file beside a folder means it; what else a picked folder holds is not meant.
    const beside = files.filter((file) => !file.path.startsWith(root) && isAlone(file));
    return {
      kind: "files",
      name: root.split("/").at(-2) ?? "model",
      files: inside.map(({ path, file }) => ({ path: path.slice(root.length), file })),
      ...(beside.length > 0 ? { parts: beside } : {}),
    };
  }
  const weights = files.filter(({ path }) => WEIGHTS.test(path));
  if (weights.length === 0) {
    const what = files.length === 1 ? `the file ${files[0]!.path}` : `${files.length} files`;
    throw new UsageError("NO_CHECKPOINT", `there is no model_index.json and no file of weights in ${what}.`, {
      fix: "Give the whole folder of a checkpoint in the diffusers format, or its single files (safetensors, GGUF) together.",
    });
  }
  const parts = files.filter((file) => isAlone(file) || weights.includes(file) || isTokenizerFile(file.path));
  const name = weights[0]!.path.split("/").at(-1)!;
  return {
    kind: "files",
    name: parts.length > 1 ? `${name} and ${parts.length - 1} more` : name,
    files: [],
    parts,
  };
}

/** The folder of the topmost `model_index.json`, with `/` at its end; undefined without one. */
function checkpointRoot(files: readonly PickedFile[]): string | undefined {
  const [index] = files
    .map(({ path }) => path)
    .filter((path) => /(^|\/)model_index\.json$/.test(path))
    .sort((a, b) => depth(a) - depth(b));
  return index?.slice(0, -"model_index.json".length);
}

function depth(path: string): number {
  return path.split("/").length;
}

/** The files that a tokenizer may have, by their names, wherever they lie. */
export function isTokenizerFile(path: string): boolean {
  return /(^|\/)(tokenizer[^/]*\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.(jinja|json)|[^/]+\.model)$/.test(
    path,
  );
}

async function collect(entry: FileSystemEntry, prefix: string, files: PickedFile[]): Promise<void> {
  const path = `${prefix}${entry.name}`;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    files.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // It hands out a hundred at a time, and nothing at the end.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return;
    for (const one of some) await collect(one, `${path}/`, files);
  }
}
