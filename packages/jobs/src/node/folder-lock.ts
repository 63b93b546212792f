/** One process per folder: a lock file with the process that holds it, taken over when that process is gone. */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@lvsa/runtime/errors";

export interface FolderLock {
  release(): Promise<void>;
}

/** @throws ConfigError `QUEUE_IN_USE` */
export async function lockFolder(folder: string): Promise<FolderLock> {
  const path = join(folder, "owner.lock");
  const mine = `${process.pid} ${(await startOf(process.pid)) ?? 0} ${crypto.randomUUID()}\n`;
  for (let turn = 0; turn < 100; turn++) {
    try {
      await writeFile(path, mine, { flag: "wx" });
      return {
        release: async () => {
          if ((await readFile(path, "utf8").catch(() => "")) === mine) await rm(path, { force: true });
        },
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const held = await readFile(path, "utf8").catch(() => "");
    // Its owner is about to write it; an owner killed in that moment leaves it empty.
    if (held === "" && turn < 20) {
      await new Promise((resolve) => setTimeout(resolve, 25));
      continue;
    }
    const [pid, start] = held.split(" ").map(Number);
    if (pid && (await isAlive(pid, start ?? 0)))
      throw new ConfigError("QUEUE_IN_USE", `process ${pid} has the queue in ${folder}`, {
        fault: "run",
        fix: "End that process, or give this one a folder of its own.",
      });
    // Only one of several that see a dead owner moves this very lock away; who moved another's gives it back.
    const aside = `${path}.${crypto.randomUUID()}`;
    try {
      await rename(path, aside);
    } catch {
      continue;
    }
    if ((await readFile(aside, "utf8")) === held) await rm(aside);
    else await rename(aside, path);
  }
  throw new ConfigError("QUEUE_IN_USE", `the lock of the queue in ${folder} changes all the time`, {
    fault: "run",
  });
}

async function isAlive(pid: number, start: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Another user's process lives too.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const now = await startOf(pid);
  return now === undefined || start === 0 || now === start;
}

/** When a process began, in the kernel's ticks, so that a number used again is not taken for it; Linux only. */
async function startOf(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat === undefined) return undefined;
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}
