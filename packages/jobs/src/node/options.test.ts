/** Options of queues and workers: misspelt ones are refused before anything is opened. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { resolveQueueOptions } from "../job-queue.js";
import { RecordQueue } from "../record-queue.js";
import { cliRunner } from "./cli-runner.js";
import { openFileQueue } from "./file-queue.js";
import { runWorker } from "./worker.js";

const right = { queue: {}, runner: {}, workspace: "/nowhere", signal: AbortSignal.abort() };
const queue = new RecordQueue({} as never, {} as never);

it.each([
  [
    "runWorker",
    "queue runner workspace name beatMs timeLimitMs signal log".split(" "),
    (o: never) => runWorker(o),
    right,
  ],
  [
    "cliRunner",
    "command models args env graceMs".split(" "),
    (o: never) => cliRunner(o),
    { command: ["lvsa"], models: new Map() },
  ],
  [
    "openFileQueue",
    "folder onNotice leaseMs maxAttempts".split(" "),
    (o: never) => openFileQueue(o),
    { folder: "/nowhere" },
  ],
  ["list", ["after", "limit", "order"], (o: never) => queue.list("me", o), {}],
])("%s refuses misspelt options", async (_, names, call, given) => {
  expect(await silentlyMisspelt({ names, call, right: given })).toEqual([]);
});

it("takes right ones and says the usual", async () => {
  expect(resolveQueueOptions({}, "this", {})).toEqual({ leaseMs: 60_000, maxAttempts: 5 });
  expect(resolveQueueOptions({ leaseMs: 100, maxAttempts: 1 }, "this", {})).toEqual({
    leaseMs: 100,
    maxAttempts: 1,
  });
  await runWorker({ ...right, beatMs: 1000, name: "w" } as never);
});

it.each([{ leaseMs: 99 }, { leaseMs: "1000" }, { maxAttempts: 0 }, { maxAttempts: 1.5 }])(
  "refuses %j",
  (wrong) => {
    expect(() => resolveQueueOptions(wrong as never, "this", {})).toThrow(
      expect.objectContaining({ code: "BAD_OPTION" }),
    );
  },
);
