/** One chunk ahead: order, failures, and readers who leave. */
import type { Tensor } from "@lvsa/runtime";
import { expect, test } from "vitest";
import { readAhead } from "./read-ahead.js";

/** Chunks are numbers here. */
function setting(count: number, failAt?: number) {
  const log: string[] = [];
  let reading = 0;
  async function* chunks(): AsyncGenerator<Tensor> {
    try {
      for (let i = 0; i < count; i++) {
        log.push(`made ${i}`);
        yield i as unknown as Tensor;
      }
    } finally {
      log.push("closed");
    }
  }
  const read = async (chunk: Tensor) => {
    const i = chunk as unknown as number;
    reading += 1;
    log.push(`reads ${i}`);
    await new Promise((done) => setTimeout(done, 5));
    reading -= 1;
    if (i === failAt) throw new Error(`chunk ${i}`);
    return i;
  };
  return { log, frames: readAhead(chunks(), read), open: () => reading };
}

test("results come in order, each when the next chunk is on its way", async () => {
  const { log, frames, open } = setting(3);
  for await (const i of frames) log.push(`got ${i}`);
  expect(log).toEqual([
    ...["made 0", "reads 0", "made 1", "reads 1", "got 0"],
    ...["made 2", "reads 2", "got 1", "closed", "got 2"],
  ]);
  expect(open()).toBe(0);
});

test("a chunk that can not be read fails in its turn, after those before it", async () => {
  const { frames, open } = setting(4, 1);
  const got: number[] = [];
  await expect(async () => {
    for await (const i of frames) got.push(i);
  }).rejects.toThrow("chunk 1");
  expect(got).toEqual([0]);
  expect(open()).toBe(0);
});

test("a reader who leaves leaves no reading behind", async () => {
  const { log, frames, open } = setting(5);
  for await (const i of frames) if (i === 1) break;
  expect(open()).toBe(0);
  expect(log.at(-1)).toBe("closed");
  expect(log).not.toContain("made 3");
});

test("no chunks, no results", async () => {
  const { frames } = setting(0);
  expect((await frames.next()).done).toBe(true);
});
