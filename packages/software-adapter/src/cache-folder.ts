/** Where the driver is unpacked, and how: once, and safely when several processes start together. */
import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { SoftwareAdapterError } from "./error.js";

/** Folders to try, best first. A given folder is the only one tried. */
export function cacheFolders(cacheDirectory: string | undefined): string[] {
  if (cacheDirectory !== undefined) return [cacheDirectory];
  const folders = [process.env.XDG_CACHE_HOME, join(homedir(), ".cache")]
    // The XDG specification says that relative paths are to be ignored.
    .filter((folder): folder is string => folder?.startsWith("/") ?? false)
    .map((folder) => join(folder, "lvsa", "software-adapter"));
  // The user's id keeps users of one machine apart in the shared folder.
  return [...folders, join(tmpdir(), `lvsa-software-adapter-${process.getuid?.() ?? "user"}`)];
}

/** Creates `name` under the first usable folder and returns its path. */
export async function usableFolder(folders: readonly string[], name: string): Promise<string> {
  const reasons: string[] = [];
  for (const folder of folders) {
    const path = join(folder, name);
    try {
      await mkdir(path, { recursive: true, mode: 0o700 });
      const problem = await refusal(path);
      if (problem === undefined) return path;
      reasons.push(`${path}: ${problem}`);
    } catch (error) {
      reasons.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new SoftwareAdapterError(
    "SOFTWARE_ADAPTER_NOT_UNPACKED",
    `no folder to unpack the driver into. Tried ${reasons.join("; ")}.`,
    { fix: "Pass cacheDirectory, or set XDG_CACHE_HOME to a folder you can write to." },
  );
}

/** Code is loaded from this folder, so nobody else may be able to put files there. */
async function refusal(path: string): Promise<string | undefined> {
  const { uid, mode } = await stat(path);
  if (process.getuid && uid !== process.getuid()) return `belongs to user ${uid}`;
  if (mode & 0o002) return "can be written by every user";
  return undefined;
}

export async function allPresent(directory: string, names: readonly string[]): Promise<boolean> {
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        (file) => (file.isFile() ? file.size : 0),
        () => 0,
      ),
    ),
  );
  return sizes.every((size) => size > 0);
}

/**
 * Writes each file beside its place and renames it, so that a file is there whole or not at all. Processes that
 * race write the same bytes; a process that already loaded the older file keeps it.
 */
export async function writeFiles(directory: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, data] of files) {
    const beside = join(directory, `.${name}.${process.pid}.${randomUUID()}`);
    try {
      await writeFile(beside, data, { mode: 0o700, flush: true });
      await rename(beside, join(directory, name));
    } catch (cause) {
      await rm(beside, { force: true });
      throw new SoftwareAdapterError("SOFTWARE_ADAPTER_NOT_UNPACKED", `can not write ${name}.`, {
        fix: "Free some space (15 MB are needed), or pass a cacheDirectory you can write to.",
        where: directory,
        cause,
      });
    }
  }
}
