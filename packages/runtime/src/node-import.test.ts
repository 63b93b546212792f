/** Optional packages come from our own place or the application's, and never from the working folder. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
let folder: string;
let library: string;

/** A package that says which folder it lies in, and leaves a mark that its code ran. */
async function plant(place: string, label: string): Promise<void> {
  const target = join(place, "node_modules/optional-thing");
  await mkdir(target, { recursive: true });
  await writeFile(join(target, "package.json"), '{"name":"optional-thing","main":"index.js"}');
  const mark = JSON.stringify(join(folder, `${label}-ran`));
  await writeFile(
    join(target, "index.js"),
    `require("node:fs").writeFileSync(${mark}, ""); module.exports.from = ${JSON.stringify(label)};`,
  );
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "lvsa-import-")));
  library = join(folder, "library/node-import.mjs");
  await build({
    entryPoints: [fileURLToPath(new URL("node-import.ts", import.meta.url))],
    outfile: library,
    format: "esm",
    platform: "node",
    logLevel: "error",
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs an application that asks for the package; gives what it got. */
async function ask(entry: string, cwd: string): Promise<string> {
  await mkdir(dirname(entry), { recursive: true });
  await writeFile(
    entry,
    `import { importOptional } from ${JSON.stringify(pathToFileURL(library).href)};
     const found = await importOptional("optional-thing", () => import("optional-thing-of-ours"));
     console.log(found.module ? found.module.default.from : "nothing: " + found.cause.code);`,
  );
  return (await run(process.execPath, [entry], { cwd })).stdout.trim();
}

describe("importOptional", () => {
  it("runs no code of the working folder", async () => {
    const downloaded = join(folder, "downloaded-model");
    await plant(downloaded, "planted");
    expect(await ask(join(folder, "elsewhere/app.mjs"), downloaded)).toBe("nothing: ERR_MODULE_NOT_FOUND");
    expect(existsSync(join(folder, "planted-ran"))).toBe(false);
  });

  it("finds what is installed beside the application, wherever it is started", async () => {
    const application = join(folder, "application");
    await plant(application, "installed");
    expect(await ask(join(application, "src/app.mjs"), tmpdir())).toBe("installed");
  });

  it("follows the link that a command is started by", async () => {
    const application = join(folder, "linked");
    await plant(application, "linked-package");
    await ask(join(application, "main.mjs"), folder);
    const command = join(folder, "bin-of-the-machine/command.mjs");
    await mkdir(dirname(command), { recursive: true });
    await symlink(join(application, "main.mjs"), command);
    expect((await run(process.execPath, [command], { cwd: tmpdir() })).stdout.trim()).toBe("linked-package");
  });

  it("finds nothing for a program without an entry file", async () => {
    const source = `import { resolveFromApplication } from ${JSON.stringify(pathToFileURL(library).href)};
      console.log(resolveFromApplication("optional-thing") ?? "nothing");`;
    const place = join(folder, "downloaded-model");
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", source], { cwd: place });
    expect(stdout.trim()).toBe("nothing");
  });
});
