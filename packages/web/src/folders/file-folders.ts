/** Folders of model files that the user gave: picked or dropped files, and directory handles. Nothing is copied. */
import { type ByteSource, blobSource, type FolderReader, folderOf, readAhead } from "@lvsa/runtime";
import type { PickedFile } from "../model-source.js";

/** A browser takes milliseconds for each small read of a file, and a transformer has a thousand tensors. */
const READ_AHEAD_BYTES = 32 * 1024 * 1024;

/** A file of the user's as bytes, read ahead where it is read in order. */
export function fileSource(file: Blob, name: string): ByteSource {
  return readAhead(blobSource(file, name), READ_AHEAD_BYTES);
}

/** @param name for messages */
export function filesFolder(files: readonly PickedFile[], name: string): FolderReader {
  const byPath = new Map(files.map(({ path, file }) => [path, file]));
  return folderOf({
    name,
    open: async (path) => {
      const file = byPath.get(path);
      return file && fileSource(file, `${name}/${path}`);
    },
    list: async (path) => {
      const prefix = path === "" ? "" : `${path}/`;
      const below = [...byPath.keys()].filter((one) => one.startsWith(prefix));
      return [...new Set(below.map((one) => one.slice(prefix.length).split("/")[0]!))];
    },
  });
}

/** A folder that the user opened, or one of the origin's private file system. */
export function directoryFolder(root: FileSystemDirectoryHandle): FolderReader {
  const directoryAt = async (path: string): Promise<FileSystemDirectoryHandle | undefined> => {
    let directory = root;
    for (const part of path === "" ? [] : path.split("/")) {
      const child = await directory.getDirectoryHandle(part).catch(absent);
      if (!child) return undefined;
      directory = child;
    }
    return directory;
  };
  return folderOf({
    name: root.name || "folder",
    open: async (path) => {
      const parts = path.split("/");
      const file = parts.pop()!;
      const directory = await directoryAt(parts.join("/"));
      const handle = await directory?.getFileHandle(file).catch(absent);
      return handle && fileSource(await handle.getFile(), `${root.name}/${path}`);
    },
    list: async (path) => {
      const names: string[] = [];
      const directory = await directoryAt(path);
      if (directory) for await (const name of directory.keys()) names.push(name);
      return names;
    },
  });
}

/** All files below a folder, by paths from there. */
export async function filesBelow(root: FileSystemDirectoryHandle, prefix = ""): Promise<PickedFile[]> {
  const files: PickedFile[] = [];
  for await (const [name, handle] of root.entries()) {
    const path = `${prefix}${name}`;
    if (handle.kind === "file") files.push({ path, file: await (handle as FileSystemFileHandle).getFile() });
    else files.push(...(await filesBelow(handle as FileSystemDirectoryHandle, `${path}/`)));
  }
  return files;
}

/** A name that is missing, or is a file where a folder was looked for. Everything else is passed on. */
export function absent(error: unknown): undefined {
  const { name } = (error ?? {}) as { name?: string };
  if (name === "NotFoundError" || name === "TypeMismatchError") return undefined;
  throw error;
}
