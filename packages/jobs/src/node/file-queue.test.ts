import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeQueue } from "../testing/describe-queue.js";
import { openFileQueue } from "./file-queue.js";

const temporary = () => mkdtemp(join(tmpdir(), "lvsa-queue-"));

describeQueue("a queue in a folder", async () => {
  const folder = await temporary();
  return {
    isShared: false,
    open: (options) => openFileQueue({ folder, ...options }),
    clear: () => rm(folder, { recursive: true, force: true }),
  };
});

it("has one owner at a time, and outlives a dead one", async () => {
  const folder = await temporary();
  const queue = await openFileQueue({ folder });
  await expect(openFileQueue({ folder })).rejects.toMatchObject({ code: "QUEUE_IN_USE" });
  await queue.close();
  // A process number that no process has, as a killed owner leaves it.
  await writeFile(join(folder, "owner.lock"), "999999999 1 x\n");
  const opened = await Promise.allSettled([1, 2, 3].map(() => openFileQueue({ folder })));
  const open = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  expect(open).toHaveLength(1);
  await open[0]!.close();
  await rm(folder, { recursive: true });
});

it("leaves what is no job alone, and says so", async () => {
  const folder = await temporary();
  const first = await openFileQueue({ folder });
  const { id } = await first.add({ owner: "a", request: { model: "tiny", prompt: "x" } });
  await first.close();
  await writeFile(join(folder, id, "job.json"), '{"id":');
  const notices: string[] = [];
  const queue = await openFileQueue({ folder, onNotice: (line) => notices.push(line) });
  expect(notices).toHaveLength(1);
  expect(notices[0]).toContain(id);
  expect((await queue.list("a")).jobs).toEqual([]);
  await queue.close();
  await rm(folder, { recursive: true });
});
