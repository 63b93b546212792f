import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readVideo } from "@lvsa/video/node";
import { afterAll, expect, it } from "vitest";
import { readPrompts } from "./generate/prompts-file.js";
import { readTextFile } from "./read-text-file.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-text-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

it("reads a file of text", async () => {
  const path = join(folder, "a.txt");
  await writeFile(path, "A fox sleeps. 🦊");
  expect(await readTextFile(path)).toBe("A fox sleeps. 🦊");
});

it.skipIf(process.platform === "win32")(
  "refuses pipes and devices at once, wherever a file is named",
  async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      await expect(readTextFile(path)).rejects.toMatchObject({ code: "NOT_A_FILE" });
      await expect(readPrompts(path)).rejects.toMatchObject({
        code: "BAD_PROMPTS_FILE",
        message: expect.stringContaining("a pipe, a device or a socket"),
      });
      await expect(readVideo(path)).rejects.toMatchObject({ code: "VIDEO_READ" });
    }
  },
);
