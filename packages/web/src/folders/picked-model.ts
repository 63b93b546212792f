/** From what a user picked or dropped to a model: a checkpoint's folder, a folder that holds one, single files. */
import { UsageError } from "@lvsa/runtime/errors";
import type { ModelSource, PickedFile } from "../model-source.js";

/**
 * Files of an `<input type="file" multiple>`, with or without `webkitdirectory`.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` and no file of weights among them
 */
export function pickedModel(files: Iterable<File>): ModelSource {
  return modelOf([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/**
 * What was dropped on the page. To be called in the `drop` event: the browser forgets the items after it.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` and no file of weights inside
 */
export async function droppedModel(data: Pick<DataTransfer, "items" | "files">): Promise<ModelSource> {
  const items = Array.from(data.items).filter(({ kind }) => kind === "file");
  // All at once: after the event they are gone.
  const dropped = items.map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  if (dropped.length === 0) return pickedModel(Array.from(data.files));
  const files: PickedFile[] = [];
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, "", files);
    else if (file) files.push({ path: file.name, file });
  }
  return modelOf(files);
}

/** Single files of weights, by the names of all formats that there are: what can not be read is refused by its content. */
const WEIGHTS = /\.(safetensors|sft|gguf|pth?|ckpt|bin)$/i;

/**
 * The folder of the topmost `model_index.json`, by paths from there, with the single files that lay beside it; without one,
 * the single files.
 * @throws UsageError `NO_CHECKPOINT` when there is neither
 */
export function modelOf(files: readonly PickedFile[]): Extract<ModelSource, { kind: "files" }> {
  const depth = (path: string) => path.split("/").length;
  const isAlone = ({ path }: PickedFile) => depth(path) === 1;
  const [index] = files
    .map(({ path }) => path)
    .filter((path) => /(^|\/)model_index\.json$/.test(path))
    .sort((a, b) => depth(a) - depth(b));
  if (index !== undefined) {
    const root = index.slice(0, -"model_index.json".length);
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
