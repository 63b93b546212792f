/** Files of `--prompts`. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readPrompts } from "./prompts-file.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-prompts-"));
afterAll(() => rm(folder, { recursive: true }));
const path = join(folder, "prompts.json");

it("reads segments in their order", async () => {
  await writeFile(path, '[{"from_frame": 0, "prompt": "a"}, {"from_frame": 9, "prompt": "b \\"c\\""}]');
  expect(await readPrompts(path)).toEqual([
    { fromFrame: 0, prompt: "a" },
    { fromFrame: 9, prompt: 'b "c"' },
  ]);
});

it.each([
  ["a fox", /JSON/],
  ['{"prompt": "a"}', /the file: expected a list/],
  ["[]", /at least one segment/],
  ['[{"from_frame": "0", "prompt": "a"}]', /0\.from_frame: expected a whole number/],
  ['[{"from_frame": 0.5, "prompt": "a"}]', /0\.from_frame: expected a whole number/],
  ['[{"from_frame": 0, "prompt": 1}]', /0\.prompt: expected a text/],
  ['[{"from_frame": 0, "prompt": "a", "seed": 1}]', /seed/],
])("refuses %s", async (text, message) => {
  await writeFile(path, text);
  await expect(readPrompts(path)).rejects.toMatchObject({
    ...{ code: "BAD_PROMPTS_FILE", isUsage: true, where: path, message: expect.stringMatching(message) },
    fix: expect.stringContaining('[{"from_frame": 0,'),
  });
});

it("refuses a file that is not there", async () => {
  await expect(readPrompts(join(folder, "none.json"))).rejects.toMatchObject({ code: "BAD_PROMPTS_FILE" });
});
