/** A folder of model files from a place that can find a file and list names: what all such places have in common. */
import type { ByteSource } from "./byte-source.js";
import { decodeText, type FolderReader, joinPath } from "./folder.js";
import { largestFile, tooLarge } from "./folder-limits.js";
import { weightsError } from "./header.js";

/** Paths are tidied before they come here: relative, with `/`, without `..`. */
export interface FilePlace {
  /** For messages. */
  readonly name: string;
  /** The file, which the caller closes; undefined where there is none. */
  open(path: string): Promise<ByteSource | undefined>;
  /** Names of the files and folders directly inside of `path` ("" is the place itself); none when it is absent. */
  list(path: string): Promise<readonly string[]>;
  /** Whether there is a file or a folder. Default: `open` finds it, or `list` does not come back empty. */
  exists?(path: string): Promise<boolean>;
}

/** @throws (its methods) as `FolderReader` says */
export function folderOf(place: FilePlace): FolderReader {
  const { name } = place;
  const open = async (child: string): Promise<ByteSource> => {
    const path = joinPath(child);
    const source = path === "" ? undefined : await place.open(path);
    if (source) return source;
    throw weightsError("NOT_FOUND", "there is no such file.", { where: `${name}/${path}` });
  };
  const readBytes = async (child: string): Promise<Uint8Array> => {
    const source = await open(child);
    try {
      const most = largestFile(joinPath(child));
      if (source.size > most) throw tooLarge(source.name, most, source.size);
      return await source.read(0, source.size);
    } finally {
      await source.close();
    }
  };
  return {
    name,
    open,
    readBytes,
    readText: async (child) => decodeText(await readBytes(child), `${name}/${joinPath(child)}`),
    exists: async (child) => {
      const path = joinPath(child);
      if (place.exists) return place.exists(path);
      const source = path === "" ? undefined : await place.open(path);
      await source?.close();
      return source !== undefined || (await place.list(path)).length > 0;
    },
    list: async (child = "") => [...(await place.list(joinPath(child)))].sort(),
  };
}
