/**
 * What is there of a file that is being downloaded. It belongs to one download at a time: that has it under a name of its
 * own, so that two that want the same file do not write into each other's.
 */
import { readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** A download that lives writes more often: it ends after much less silence. */
const DEAD_AFTER_MS = 10 * 60_000;
const ENDING = ".incomplete";

export interface PartialFile {
  /** The download's own file; it may not exist yet. */
  readonly path: string;
  /** Leaves what is there to the next download. */
  release(): Promise<void>;
}

/** Takes over what an earlier download left of `blob`, also one that was killed. */
export async function claimPartial(blob: string): Promise<PartialFile> {
  const path = `${blob}.${ownName()}-${crypto.randomUUID()}${ENDING}`;
  const left = `${blob}${ENDING}`;
  for (const one of [left, ...(await abandoned(blob))]) {
    // Only one of several that see it gets it.
    const isMine = await rename(one, path).then(
      () => true,
      () => false,
    );
    if (isMine) break;
  }
  const release = async () => {
    const [mine, other] = [await sizeOf(path), await sizeOf(left)];
    if (mine === undefined) return;
    if (mine > (other ?? 0)) await rename(path, left);
    else await rm(path, { force: true });
  };
  return { path, release };
}

/** Size of a file; undefined where there is none. */
export function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

function ownName(pid = process.pid): string {
  return `${hostname().replaceAll(/[^\w]/g, "_")}-${pid}`;
}

/** Files of downloads that are no more. */
async function abandoned(blob: string): Promise<string[]> {
  const folder = dirname(blob);
  const start = `${basename(blob)}.`;
  const found: string[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(start) || !name.endsWith(ENDING) || name.length <= start.length + ENDING.length)
      continue;
    const [, owner, pid] = /^(\w+-(\d+))-[0-9a-f-]+$/.exec(name.slice(start.length, -ENDING.length)) ?? [];
    const path = join(folder, name);
    const isKilled = pid !== undefined && owner === ownName(Number(pid)) && !isAlive(Number(pid));
    const age =
      Date.now() -
      (await stat(path).then(
        ({ mtimeMs }) => mtimeMs,
        () => Number.POSITIVE_INFINITY,
      ));
    if (isKilled || age > DEAD_AFTER_MS) found.push(path);
  }
  return found;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process lives too.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
