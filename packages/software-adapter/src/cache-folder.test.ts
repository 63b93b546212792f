import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { allPresent, cacheFolders, usableFolder, writeFiles } from "./cache-folder.js";
import { assertSupported } from "./install-software-adapter.js";

let folder: string;
const cacheHome = process.env.XDG_CACHE_HOME;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-cache-"));
});
afterEach(async () => {
  if (cacheHome === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = cacheHome;
  await rm(folder, { recursive: true });
});

describe("the cache folder", () => {
  it("prefers XDG_CACHE_HOME, ignores a relative one, and ends in the temporary folder", () => {
    process.env.XDG_CACHE_HOME = "/somewhere/cache";
    expect(cacheFolders(undefined)[0]).toBe("/somewhere/cache/lvsa/software-adapter");
    process.env.XDG_CACHE_HOME = "relative";
    expect(cacheFolders(undefined)[0]).not.toContain("relative");
    expect(cacheFolders(undefined).at(-1)).toContain(tmpdir());
    expect(cacheFolders("/given")).toEqual(["/given"]);
  });

  it("takes the next folder when one is unusable, and names all of them when none is left", async () => {
    const file = join(folder, "file");
    await writeFile(file, "in the way");
    const open = join(folder, "open", "driver");
    await mkdir(open, { recursive: true });
    await chmod(open, 0o777);
    const good = join(folder, "good");
    expect(await usableFolder([file, join(folder, "open"), good], "driver")).toBe(join(good, "driver"));
    const failure = usableFolder([file, join(folder, "open")], "driver");
    await expect(failure).rejects.toMatchObject({ code: "SOFTWARE_ADAPTER_NOT_UNPACKED" });
    await expect(failure).rejects.toThrow(/file.*can be written by every user/s);
  });

  it("is complete after many writers at once, with nothing left beside", async () => {
    const files = new Map([
      ["a.so", new Uint8Array(300_000).fill(7)],
      ["b.json", new TextEncoder().encode("{}")],
    ]);
    expect(await allPresent(folder, [...files.keys()])).toBe(false);
    await Promise.all(Array.from({ length: 8 }, () => writeFiles(folder, files)));
    expect(await allPresent(folder, [...files.keys()])).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(["a.so", "b.json"]);
    expect((await readFile(join(folder, "a.so"))).equals(Buffer.alloc(300_000, 7))).toBe(true);
  });
});

describe("the platform check", () => {
  it("accepts linux x64 and says what to do elsewhere", () => {
    expect(() => assertSupported("linux", "x64")).not.toThrow();
    expect(() => assertSupported("linux", "arm64")).toThrow(
      expect.objectContaining({
        code: "SOFTWARE_ADAPTER_UNSUPPORTED_PLATFORM",
        fix: expect.stringContaining("mesa-vulkan-drivers"),
      }),
    );
    expect(() => assertSupported("darwin", "arm64")).toThrow(
      expect.objectContaining({ fix: expect.stringContaining("Metal") }),
    );
  });
});
