/** Runs the package in fresh processes whose environment hides every Vulkan driver of the machine. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Runtime, runtimes } from "../../../tools/testing/runtimes.js";

const here = fileURLToPath(new URL(".", import.meta.url));
let work: string;

const CHILD = `
import { create } from "webgpu";
import { installSoftwareAdapter } from "./install-software-adapter.js";
const describe = async (gpu) => (await gpu.requestAdapter())?.info.architecture ?? null;
const before = await describe(create([]));
const installed = await installSoftwareAdapter({ cacheDirectory: process.argv[2] });
const gpu = create([]);
const after = await describe(gpu);
const named = await describe(create(["adapter=SwiftShader"]));
const device = await (await gpu.requestAdapter()).requestDevice();
const buffer = device.createBuffer({ size: 4, usage: 8 | 1 });
device.queue.writeBuffer(buffer, 0, new Uint32Array([41]));
await buffer.mapAsync(1);
const echo = new Uint32Array(buffer.getMappedRange())[0];
console.log(JSON.stringify({ before, after, named, echo, ...installed }));
process.exit(0);
`;

interface Answer {
  readonly before: string | null;
  readonly after: string | null;
  readonly named: string | null;
  readonly echo: number;
  readonly directory: string;
  readonly driver: string;
  readonly version: string;
}

function runChild(
  cacheDirectory: string,
  { program = process.execPath, args = [] }: Partial<Pick<Runtime, "program" | "args">> = {},
): Promise<Answer> {
  const child = spawn(program, [...args, join(work, "child.mjs"), cacheDirectory], {
    env: {
      PATH: process.env.PATH,
      HOME: work,
      VK_DRIVER_FILES: "/nonexistent",
      VK_ICD_FILENAMES: "/nonexistent",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let log = "";
  child.stdout.on("data", (data) => (out += data));
  child.stderr.on("data", (data) => (log += data));
  return new Promise((resolve, reject) => {
    child.on("close", (code, signal) => {
      const line = out.split("\n").find((text) => text.startsWith("{"));
      if (code === 0 && line) resolve(JSON.parse(line) as Answer);
      else reject(new Error(`child ended with ${code ?? signal}: ${log}`));
    });
  });
}

beforeAll(async () => {
  // Node 20 runs no TypeScript, and packages are found only from inside this one: compile into its own cache.
  await mkdir(join(here, "../.cache"), { recursive: true });
  work = await mkdtemp(join(here, "../.cache/child-"));
  for (const file of await readdir(here)) {
    if (!file.endsWith(".ts") || file.endsWith(".test.ts")) continue;
    const { outputText } = ts.transpileModule(await readFile(join(here, file), "utf8"), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
    });
    await writeFile(join(work, file.replace(/\.ts$/, ".js")), outputText);
  }
  await writeFile(join(work, "child.mjs"), CHILD);
});
afterAll(() => rm(work, { recursive: true }));

describe("installSoftwareAdapter", () => {
  it("gives a working adapter where there was none, also when processes start together", async () => {
    const cache = join(work, "cache");
    const answers = await Promise.all([runChild(cache), runChild(cache)]);
    for (const answer of answers) {
      expect(answer).toMatchObject({
        before: null,
        after: "swiftshader",
        named: "swiftshader",
        echo: 41,
        driver: "SwiftShader",
        version: "147.0.0",
        directory: join(cache, "swiftshader-147.0.0"),
      });
    }
    const files = (await readdir(join(cache, "swiftshader-147.0.0"))).sort();
    expect(files).toEqual(["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"]);
  });

  it.for(runtimes)("works in $name", async (runtime, { skip }) => {
    if (!runtime.program) skip(runtime.missing);
    expect(await runChild(join(work, "cache"), runtime)).toMatchObject({
      before: null,
      after: "swiftshader",
      echo: 41,
    });
  });

  it("repairs a folder that lost a file", async () => {
    const cache = join(work, "cache");
    const { directory } = await runChild(cache);
    await writeFile(join(directory, "libvk_swiftshader.so"), "");
    expect(await runChild(cache)).toMatchObject({ before: null, after: "swiftshader" });
  });
});
