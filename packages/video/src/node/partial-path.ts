/** Names under which outputs grow beside their destination, until they are whole and are renamed. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { kill, pid } from "node:process";
import { UsageError } from "@lvsa/runtime/errors";

/** What file systems take, in bytes. */
const LONGEST_NAME = 255;
/** `-`, a process id of up to 10 digits, 8 hexadecimal digits, and the endings. */
const ADDED = 48;

/** The part that all partial files of a destination begin with: hidden, and cut where the name is long. */
function stem(path: string): string {
  let name = basename(path);
  while (Buffer.byteLength(name) > LONGEST_NAME - ADDED) name = name.slice(0, -1);
  // Not in the middle of a pair of surrogates.
  return `.${name.replace(/[\ud800-\udbff]$/, "")}.`;
}

/** A new path beside `path`, which no other process uses. @param ending e.g. `json.partial` */
export function partialPath(path: string, ending = "partial"): string {
  return join(dirname(path), `${stem(path)}${pid}-${randomUUID().slice(0, 8)}.${ending}`);
}

/** A hidden path beside `path` that is the same for every process. */
export function besidePath(path: string, ending: string): string {
  return join(dirname(path), `${stem(path)}${ending}`);
}

/** Removes what processes that are no more left behind of outputs at `path`, and of files that are called after it. */
export async function removeStalePartials(path: string): Promise<void> {
  const [folder, start] = [dirname(path), stem(path)];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(start)) continue;
    const [, owner] =
      /^(?:.*\.)?(\d+)-[0-9a-f]{8}\.(json\.partial|partial|partial\.mp4|lock|old)$/.exec(
        name.slice(start.length),
      ) ?? [];
    // What made way for a new folder is not a partial file: it is the older result.
    if (owner === undefined || name.endsWith(".old") || isRunning(Number(owner))) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

/** Whether this machine has such a process. */
export function isRunning(processId: number): boolean {
  try {
    kill(processId, 0);
    return true;
  } catch (error) {
    // Somebody else's process is one.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/**
 * One folder after the other: made all at once, some that can not be made are tried for ever.
 *
 * @throws UsageError `VIDEO_PATH` where something else is in the way, and file system errors as they are
 */
export async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent);
  await mkdir(path).catch((error: unknown) => {
    // Another process may have been first; what is there and is no folder says so when something goes into it.
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  });
  if (!(await isFolder(path))) {
    throw new UsageError("VIDEO_PATH", `"${path}" is a file, or a link that leads nowhere, not a folder`, {
      fix: "Choose another path.",
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
