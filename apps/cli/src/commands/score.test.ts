import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeVideo } from "@lvsa/video/node";
import { afterAll, describe, expect, it } from "vitest";
import { runProgram } from "../program.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-score-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function run(...args: string[]) {
  let [out, err] = ["", ""];
  const code = await runProgram(["score", ...args], {
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    redraw: () => {},
    isTerminal: false,
  });
  return { code, out, err };
}

/** A white square on black that moves so many pixels a frame. */
async function square(name: string, step: number): Promise<string> {
  const [width, height, frameCount] = [64, 48, 10];
  const frames = Array.from({ length: frameCount }, (_, t) => {
    const rgb = new Uint8Array(width * height * 3);
    for (let y = 16; y < 32; y++)
      rgb.fill(255, (y * width + 8 + t * step) * 3, (y * width + 24 + t * step) * 3);
    return rgb;
  });
  return (await writeVideo(join(folder, name), { frames, width, height, frameCount, fps: 8 })).path;
}

describe("lvsa score", () => {
  it("puts videos side by side, motion first", async () => {
    const { code, out } = await run(await square("moves.gif", 2), await square("stands.png", 0));
    expect(code).toBe(0);
    const rows = out.split("\n").map((line) => line.split(/ {2,}/));
    const row = (title: string) => rows.find(([first]) => first === title)!.slice(1, 3);
    expect(rows[3]!.slice(1)).toEqual(["moves.gif", "stands.png"]);
    expect(rows[4]![0]).toBe("motion");
    expect(Number(row("motion")[0])).toBeGreaterThan(0);
    expect(row("motion")[1]).toBe("0.00");
    expect(row("frozen pairs")).toEqual(["0.00", "1.00"]);
    expect(row("consistency")[1]).toBe("1.0000");
    expect(row("motion kept")[1]).toBe("-");
  });

  it("speaks JSON: one object for one video, with every pair", async () => {
    const { out } = await run(await square("json.png", 3), "--json");
    const score = JSON.parse(out) as { decoder: string; per_pair: { motion: { mean_vector: number[] }[] } };
    expect(score).toMatchObject({ decoder: "png", frames: 10, width: 64, height: 48, freeze_ratio: 0 });
    expect(score.per_pair.motion).toHaveLength(9);
    for (const { mean_vector } of score.per_pair.motion) {
      expect(mean_vector[0]).toBeGreaterThan(0);
      expect(mean_vector[1]).toBe(0);
    }
  });

  it("ends with 2 for what is not there or too short, with 1 for a damaged file", async () => {
    expect(await run(join(folder, "none.gif"))).toMatchObject({ code: 2, out: "" });
    const still = { frames: [new Uint8Array(12)], width: 2, height: 2, frameCount: 1, fps: 1 };
    const { path } = await writeVideo(join(folder, "still.png"), still);
    const short = await run(path);
    expect(short.code).toBe(2);
    expect(short.err).toContain("at least two");
    const damaged = join(folder, "damaged.gif");
    await writeFile(damaged, "GIF89a");
    expect((await run(damaged)).code).toBe(2);
    expect((await run()).code).toBe(2);
  });
});
