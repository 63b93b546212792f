/** `inspect`, `plan` and `generate` with single files in place of a folder. */
import { cp, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, vi } from "vitest";
import { BUNDLED_MODEL } from "../bundled-model.js";
import { describeError } from "../exit-codes.js";
import { chooseCheckpoint } from "../generate/checkpoint.js";
import { runProgram } from "../program.js";

const formats = fileURLToPath(new URL("../../../../fixtures/reference/formats", import.meta.url));
const transformer = join(formats, "wan-gguf-q4_0", "model.gguf");
const vae = join(formats, "wan-vae-z16", "vae.safetensors");

async function run(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []];
  const io = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    redraw: () => {},
    isTerminal: false,
  };
  const code = await runProgram(args, io);
  return { code, out: out.join(""), err: err.join("") };
}

/** What `generate` says, without its process: it listens to signals, and to the end of who started it. */
async function refusal(options: Parameters<typeof chooseCheckpoint>[0]): Promise<string> {
  return describeError(await chooseCheckpoint(options).catch((error: unknown) => error));
}

describe("single files", () => {
  it("are inspected, and what else a video needs is said", async () => {
    const one = await run("inspect", transformer);
    expect(one.code).toBe(0);
    expect(one.out).toMatch(/transformer +WanTransformer3DModel .* Q4_0/);
    expect(one.out).toContain("To make a video, also give --vae, --text-encoder, --tokenizer.");
    const all = await run("inspect", "--transformer", transformer, "--vae", vae, "--json");
    const json = JSON.parse(all.out) as {
      pipeline_class: string;
      missing_flags: string[];
      components: object;
    };
    expect(json.pipeline_class).toBe("WanPipeline");
    expect(Object.keys(json.components)).toEqual(expect.arrayContaining(["transformer", "vae"]));
    expect(json.missing_flags).toEqual(["--text-encoder", "--tokenizer"]);
  });

  it("are planned without a text encoder", async () => {
    const { code, out } = await run(
      "plan",
      "--transformer",
      transformer,
      "--vae",
      vae,
      "--num-frames",
      "17",
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ model: transformer });
  });

  it("are refused by generate where something is missing, with the flags to give", async () => {
    const text = await refusal({ transformer, vae });
    expect(text).toContain("Wan also needs the text encoder and the tokenizer.");
    expect(text).toContain("Give --text-encoder and --tokenizer, or as --model a checkpoint");
  });

  it("that were pulled from the Hub are known by the repository's name", async () => {
    const cache = await mkdtemp(join(tmpdir(), "lvsa-hub-"));
    const repository = join(cache, "models--own--model");
    const commit = "c".repeat(40);
    await mkdir(join(repository, "refs"), { recursive: true });
    await cp(BUNDLED_MODEL, join(repository, "snapshots", commit), { recursive: true });
    await writeFile(join(repository, "refs", "main"), commit);
    vi.stubEnv("HF_HUB_CACHE", cache);
    expect((await run("inspect", "own/model")).out).toContain("WanPipeline");
    expect((await run("plan", "own/model", "--num-frames", "17")).code).toBe(0);
    expect(await refusal({ model: "own/other" })).toContain("lvsa pull own/other");
    vi.unstubAllEnvs();
  });

  it("that are pickles are refused with a command; a path that is not there is named", async () => {
    const folder = await mkdtemp(join(tmpdir(), "lvsa-files-"));
    const pickle = join(folder, "vae.pth");
    await writeFile(pickle, Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 8));
    const refused = await run("inspect", "--vae", pickle);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("python -c");
    const absent = await run("inspect", "--vae", join(folder, "none"));
    expect(absent.err).toContain("Check the path of --vae.");
    expect((await run("plan", "--num-frames", "17")).code).toBe(2);
  });
});
