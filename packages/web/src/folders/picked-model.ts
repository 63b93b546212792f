/** From what a user picked or dropped to a model: a folder of a checkpoint, or a folder that holds one. */
import { UsageError } from "@lvsa/runtime/errors";
import type { ModelSource, PickedFile } from "../model-source.js";

/**
 * Files of an `<input type="file" webkitdirectory>`.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` among them
 */
export function pickedModel(files: Iterable<File>): ModelSource {
  return checkpointOf([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/**
 * What was dropped on the page. To be called in the `drop` event: the browser forgets the items after it.
 * @throws UsageError `NO_CHECKPOINT` when there is no `model_index.json` inside
 */
export async function droppedModel(data: Pick<DataTransfer, "items" | "files">): Promise<ModelSource> {
  const entries = Array.from(data.items).flatMap((item) =>
    item.kind === "file" ? (item.webkitGetAsEntry() ?? []) : [],
  );
  const loose = Array.from(data.files);
  if (entries.length === 0) return pickedModel(loose);
  const files: PickedFile[] = [];
  for (const entry of entries) await collect(entry, "", files);
  return checkpointOf(files);
}

/** The folder of the topmost `model_index.json`, by paths from there. */
function checkpointOf(files: readonly PickedFile[]): ModelSource {
  const depth = (path: string) => path.split("/").length;
  const [index] = files
    .map(({ path }) => path)
    .filter((path) => /(^|\/)model_index\.json$/.test(path))
    .sort((a, b) => depth(a) - depth(b));
  if (index === undefined) {
    const what = files.length === 1 ? `the file ${files[0]!.path}` : `${files.length} files`;
    throw new UsageError("NO_CHECKPOINT", `there is no model_index.json in ${what}.`, {
      fix: "Give the whole folder of a checkpoint in the diffusers format.",
    });
  }
  const root = index.slice(0, -"model_index.json".length);
  const inside = files.filter(({ path }) => path.startsWith(root));
  const name = root.split("/").at(-2) ?? "model";
  return {
    kind: "files",
    name,
    files: inside.map(({ path, file }) => ({ path: path.slice(root.length), file })),
  };
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
