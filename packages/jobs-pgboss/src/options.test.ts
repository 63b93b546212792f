/** Options of the queue: misspelt ones are refused before a connection is made. */
import { silentlyMisspelt } from "@lvsa/runtime/testing";
import { expect, it } from "vitest";
import { openPgBossQueue } from "./pgboss-queue.js";

it("refuses misspelt options", async () => {
  const names = "url schema pollMs leaseMs maxAttempts".split(" ");
  const right = { url: "postgres://127.0.0.1:1" };
  expect(await silentlyMisspelt({ names, call: openPgBossQueue, right })).toEqual([]);
});

it("refuses what is of another kind", async () => {
  await expect(openPgBossQueue({ url: 1 } as never)).rejects.toThrow("url: expected a text");
});
