/** `lvsa compare` on the checkpoint that ships, as a user types it. */
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEVICE, TINY as model, runCli } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-compare-"));
afterAll(() => rm(folder, { recursive: true, force: true }));
const page = join(folder, "pages/compare.html");

interface Numbers {
  readonly results: readonly {
    readonly method: string;
    readonly factor: number;
    readonly num_frames: number;
  }[];
  readonly summary: readonly { readonly method: string; readonly factor: number }[];
}

describe("lvsa compare", () => {
  let run: Awaited<ReturnType<typeof runCli>>;
  beforeAll(async () => {
    const clip = ["--height", "32", "--width", "32", "--steps", "2", "--max-sequence-length", "32"];
    const methods = ["--methods", "dense,lvsa-rotating,dense-riflex", "--lengths", "1,2"];
    const prompt = ["--prompt", "A <b>cat</b>.", "--reference-latent-frames", "3"];
    run = await runCli([
      "compare",
      ...DEVICE,
      "--model",
      model,
      ...prompt,
      ...clip,
      ...methods,
      "--output",
      page,
    ]);
  });

  it("runs each method where it does something of its own", async () => {
    expect(run.code, run.stderr).toBe(0);
    const numbers = JSON.parse(await readFile(`${page}.json`, "utf8")) as Numbers;
    expect(
      numbers.results.map(({ method, factor, num_frames }) => `${factor} ${method} ${num_frames}`),
    ).toEqual(["1 dense 9", "2 dense 21", "2 lvsa-rotating 21", "2 dense-riflex 21"]);
    expect(numbers.summary).toHaveLength(4);
    expect(run.stdout).toMatch(/^2x LVSA rotating +\d/m);
    expect(run.stdout).toContain("One prompt shows what a method can do, not how it compares.");
  });

  it("puts methods back: noise and lengths alike, three different clips", async () => {
    const html = await readFile(page, "utf8");
    const clips = [...html.matchAll(/src="data:image\/gif;base64,([^"]+)"/g)].map(([, data]) => data);
    expect(clips).toHaveLength(4);
    expect(new Set(clips).size).toBe(4);
    expect(html).toContain("A &lt;b&gt;cat&lt;/b&gt;.");
    expect(html).not.toMatch(/https?:|<script/);
    expect(existsSync(`${page}.partial`)).toBe(false);
  });

  it.each([
    [["--model", model], "there are no prompts"],
    [["--prompt", "x", "--methods", "dense,flash"], "expected some of dense"],
    [["--prompt", "x", "--lengths", "2,1"], "growing numbers"],
    [["--prompt", "x", "--output", "page.txt"], "expected a .html or .htm file"],
    [["--model", model, "--prompt", "x", "--output", page], "is there already"],
  ])("ends with 2 for %j", async (args, message) => {
    const { code, stderr } = await runCli(["compare", ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
