/** A file larger than any single array streams through the disk source without growing the heap. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileSource } from "../node/file-source.js";
import { openSafetensors } from "./safetensors-weights.js";
import { STREAM_CHUNK_BYTES } from "./weight-source.js";

const GIB = 2 ** 30;
const BIG = 3 * GIB;
const GAP = 1.5 * GIB;
// The stream buffer (16 MiB) plus what the test runner itself allocates meanwhile.
const ALLOWED_GROWTH = 64 * 1024 * 1024;

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-large-"));
  path = join(folder, "large.safetensors");
  const json = new TextEncoder().encode(
    JSON.stringify({
      big: { dtype: "F32", shape: [BIG / 4], data_offsets: [0, BIG] },
      gap: { dtype: "U8", shape: [GAP], data_offsets: [BIG, BIG + GAP] },
      end: { dtype: "F32", shape: [2], data_offsets: [BIG + GAP, BIG + GAP + 8] },
    }),
  );
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(json.length), true);
  const data = 8 + json.length;
  const file = await open(path, "w");
  // Only the pages that are written take room on the disk.
  await file.truncate(data + BIG + GAP + 8);
  await file.write(prefix, 0, 8, 0);
  await file.write(json, 0, json.length, 8);
  await file.write(new Uint8Array([17]), 0, 1, data);
  await file.write(new Uint8Array([23]), 0, 1, data + BIG - 1);
  await file.write(new Uint8Array(new Float32Array([1.5, -2]).buffer), 0, 8, data + BIG + GAP);
  await file.close();
});
afterAll(() => rm(folder, { recursive: true }));

describe("a file of 4.5 GiB", () => {
  it("streams 3 GiB with a flat heap", async () => {
    const weights = await openSafetensors(await fileSource(path));
    const used = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
    const before = used();
    let growth = 0;
    let streamed = 0;
    const marks: [number, number][] = [];
    await weights.stream("big", STREAM_CHUNK_BYTES, (chunk, byteOffset) => {
      if (chunk[0] !== 0) marks.push([byteOffset, chunk[0]!]);
      if (chunk.at(-1) !== 0) marks.push([byteOffset + chunk.length - 1, chunk.at(-1)!]);
      streamed += chunk.length;
      growth = Math.max(growth, used() - before);
    });
    await weights.close();
    expect(streamed).toBe(BIG);
    expect(marks).toEqual([
      [0, 17],
      [BIG - 1, 23],
    ]);
    expect(growth).toBeGreaterThan(0);
    expect(growth).toBeLessThan(ALLOWED_GROWTH);
  });

  it("reads what lies beyond 4 GiB", async () => {
    const weights = await openSafetensors(await fileSource(path));
    expect([...new Float32Array((await weights.read("end")).buffer)]).toEqual([1.5, -2]);
    const tail = await weights.read("gap", { byteOffset: GAP - 4, byteLength: 4 });
    expect([...tail]).toEqual([0, 0, 0, 0]);
    await weights.close();
  });
});
