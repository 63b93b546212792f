import { describe, expect, it } from "vitest";
import { checkedFrames, checkStream, type FrameStream, streamOf } from "./frames.js";

const clip = (count: number, changes: Partial<FrameStream> = {}): FrameStream => ({
  frames: Array.from({ length: count }, (_, index) => new Uint8Array(12).fill(index)),
  width: 2,
  height: 2,
  frameCount: count,
  fps: 16,
  ...changes,
});

async function collect(stream: FrameStream): Promise<number[]> {
  const seen: number[] = [];
  for await (const frame of checkedFrames(stream)) seen.push(frame[0]!);
  return seen;
}

describe("checkedFrames", () => {
  it("passes frames of arrays, generators and async generators through", async () => {
    async function* asynchronous() {
      yield new Uint8Array(12).fill(7);
      yield new Uint8Array(12).fill(8);
    }
    expect(await collect(clip(3))).toEqual([0, 1, 2]);
    expect(await collect(clip(2, { frames: asynchronous() }))).toEqual([7, 8]);
    const held = {
      width: 2,
      height: 2,
      count: 2,
      get: (index: number) => new Uint8Array(12).fill(index + 1),
    };
    expect(await collect(streamOf(held, 8))).toEqual([1, 2]);
  });

  it("refuses another number or size of frames, with the numbers", async () => {
    await expect(collect(clip(2, { frameCount: 3 }))).rejects.toThrow("2 frames arrived, expected 3");
    await expect(collect(clip(3, { frameCount: 2 }))).rejects.toThrow("more frames arrived than the 2");
    await expect(collect(clip(1, { width: 3 }))).rejects.toThrow(
      "frame 0 has 12 bytes, expected 18 (3x2 RGB)",
    );
  });

  it("stops at the signal and lets the source clean up", async () => {
    const controller = new AbortController();
    let cleaned = false;
    function* source() {
      try {
        for (;;) yield new Uint8Array(12);
      } finally {
        cleaned = true;
      }
    }
    const frames = checkedFrames(clip(9, { frames: source(), signal: controller.signal }));
    await frames.next();
    controller.abort();
    await expect(frames.next()).rejects.toMatchObject({ name: "AbortError", code: "ABORTED" });
    expect(cleaned).toBe(true);
  });

  it("does not ask for a frame when the signal has already fired", async () => {
    let asked = false;
    function* source() {
      asked = true;
      yield new Uint8Array(12);
    }
    await expect(collect(clip(1, { frames: source(), signal: AbortSignal.abort() }))).rejects.toThrow(
      "stopped",
    );
    expect(asked).toBe(false);
  });
});

describe("checkStream", () => {
  it.each([
    [{ width: 0 }, "width is 0"],
    [{ height: 1.5 }, "height is 1.5"],
    [{ frameCount: -1 }, "frameCount is -1"],
    [{ fps: 0 }, "fps is 0"],
    [{ fps: Number.NaN }, "fps is NaN"],
    [{ width: 65536 }, "65536x2"],
  ])("refuses %o", (changes, message) => {
    expect(() => checkStream(clip(1, changes))).toThrow(message);
  });
});
