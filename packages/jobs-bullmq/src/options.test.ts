/** Options of the queue: misspelt ones are refused before a connection is made. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { openBullMqQueue } from "./bullmq-queue.js";

it("refuses misspelt options", async () => {
  const names = "url name leaseMs maxAttempts".split(" ");
  const right = { url: "redis://127.0.0.1:1" };
  expect(await silentlyMisspelt({ names, call: openBullMqQueue, right })).toEqual([]);
});

it("refuses what is of another kind", async () => {
  await expect(openBullMqQueue({ url: 1 } as never)).rejects.toThrow("url: expected a text");
});
