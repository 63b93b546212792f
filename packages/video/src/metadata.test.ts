import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { jsonOf } from "./metadata.js";
import { writeVideo } from "./node/write-video.js";

describe("jsonOf", () => {
  it("writes bigints as their digits", () => {
    expect(jsonOf({ seed: 2n ** 64n - 1n, list: [1n] })).toBe('{"seed":"18446744073709551615","list":["1"]}');
  });

  it("refuses what holds itself, before a frame is asked for", async () => {
    const settings: Record<string, unknown> = {};
    settings.self = settings;
    expect(() => jsonOf(settings)).toThrow(expect.objectContaining({ code: "BAD_METADATA", isUsage: true }));
    let asked = 0;
    const frames = (function* () {
      asked++;
      yield new Uint8Array(12);
    })();
    const path = join(tmpdir(), "lvsa-metadata-that-holds-itself.png");
    const clip = { frames, width: 2, height: 2, frameCount: 1, fps: 8, metadata: { settings } };
    await expect(writeVideo(path, clip)).rejects.toMatchObject({ code: "BAD_METADATA" });
    expect([asked, existsSync(path)]).toEqual([0, false]);
  });
});
