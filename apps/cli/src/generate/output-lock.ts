/** One process at a time writes an output: a hidden file beside it says which. */
import { randomUUID } from "node:crypto";
import { existsSync, rmSync } from "node:fs";
import { copyFile, link, readFile, rename, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { LvsaError } from "@lvsa/runtime";
import { besidePath, isRunning, partialPath } from "@lvsa/video/node";
import * as z from "zod";

const schema = z.object({ pid: z.int().positive(), host: z.string(), id: z.string() });
export type LockOwner = z.infer<typeof schema>;

export interface OutputLock extends AsyncDisposable {
  readonly path: string;
}

/** The lock of an output. @param output absolute path */
export function lockPath(output: string): string {
  return besidePath(output, "lock");
}

/** Who writes an output, or undefined. */
export async function lockOwner(output: string): Promise<LockOwner | undefined> {
  const owner = await readOwner(lockPath(output));
  return owner && isAlive(owner) ? owner : undefined;
}

/**
 * Takes an output for this process until it is disposed; the lock of a process that is no more is taken over.
 *
 * @param output absolute path; its folder must be there
 * @throws LvsaError `OUTPUT_IN_USE`
 */
export async function lockOutput(output: string): Promise<OutputLock> {
  const path = lockPath(output);
  const own: LockOwner = { pid: process.pid, host: hostname(), id: randomUUID() };
  // Whole before it gets its name, which only one process can give it.
  const draft = partialPath(path, "lock");
  await writeFile(draft, JSON.stringify(own), { flag: "wx" });
  try {
    for (let attempt = 0; ; attempt++) {
      if (await linked(draft, path)) break;
      const other = await readOwner(path);
      if ((other && isAlive(other)) || attempt > 100) throw inUse(output, path, other);
      if (await takeOver(draft, path, other)) break;
    }
  } finally {
    await rm(draft, { force: true });
  }
  // Also where the process ends in the middle, by a second Ctrl-C.
  const removeAtExit = () => rmSync(path, { force: true });
  process.once("exit", removeAtExit);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      process.off("exit", removeAtExit);
      if ((await readOwner(path))?.id === own.id) await rm(path, { force: true });
    },
  };
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
    // A file system without hard links.
    try {
      await writeFile(path, await readFile(draft), { flag: "wx" });
      return true;
    } catch (exists) {
      if ((exists as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw exists;
    }
  }
}

/**
 * Puts the draft in the place of a dead process's lock. Who makes the file that is called after that lock is the only one
 * who may: and looks once more, since another one may have been here before.
 *
 * @returns whether this process did it
 */
async function takeOver(draft: string, path: string, dead: LockOwner | undefined): Promise<boolean> {
  const claim = `${path}.${dead?.id.replace(/[^0-9a-f-]/g, "").slice(0, 40) ?? "broken"}`;
  if (!(await linked(draft, claim))) {
    const other = await readOwner(claim);
    // It died in the middle of this.
    if (!other || !isAlive(other)) await rm(claim, { force: true });
    return false;
  }
  try {
    if (!existsSync(path)) return false;
    if ((await readOwner(path))?.id !== dead?.id) return false;
    const copy = partialPath(path, "lock");
    await copyFile(draft, copy);
    await rename(copy, path);
    return true;
  } finally {
    await rm(claim, { force: true });
  }
}

async function readOwner(path: string): Promise<LockOwner | undefined> {
  try {
    return schema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** Of another machine that shares the folder nothing can be known: it counts as alive. */
function isAlive({ pid, host }: LockOwner): boolean {
  return host !== hostname() || isRunning(pid);
}

function inUse(output: string, path: string, owner: LockOwner | undefined): LvsaError {
  const who = owner
    ? `process ${owner.pid}${owner.host === hostname() ? "" : ` on ${owner.host}`}`
    : "another process";
  return new LvsaError("OUTPUT_IN_USE", `${who} is writing this output`, {
    where: output,
    fix: `Choose another --output, or wait; if there is no such process any more, remove ${path}.`,
  });
}
