import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findDriverArchive, listTar, readDriverArchive } from "./archive.js";

function tarOf(files: Record<string, string>): Uint8Array {
  const parts: Buffer[] = [];
  for (const [name, content] of Object.entries(files)) {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("0", 156);
    const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
    body.write(content);
    parts.push(header, body);
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-archive-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("the driver's archive", () => {
  it("is among the installed packages", async () => {
    const { path, version } = await findDriverArchive();
    expect(version).toBe("147.0.0");
    const names = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];
    const files = await readDriverArchive(path, names);
    expect([...files.keys()]).toEqual(names);
    expect([...files.get("libvulkan.so.1")!.subarray(0, 4)]).toEqual([0x7f, 0x45, 0x4c, 0x46]);
  });

  it("lists whole files and leaves out one that is cut off", () => {
    const tar = tarOf({ "./one.txt": "first", "folder/two.txt": "x".repeat(600) });
    const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);
    expect(text(listTar(tar).get("one.txt"))).toBe("first");
    expect(text(listTar(tar).get("two.txt"))).toBe("x".repeat(600));
    expect([...listTar(tar.subarray(0, 512 * 3 + 100)).keys()]).toEqual(["one.txt"]);
  });

  it("says when it is damaged", async () => {
    const path = join(folder, "cut.tar.br");
    await writeFile(path, brotliCompressSync(tarOf({ a: "b" })).subarray(0, 12));
    await expect(readDriverArchive(path, ["a"])).rejects.toMatchObject({
      code: "SOFTWARE_ADAPTER_ARCHIVE_DAMAGED",
      where: path,
    });
    await writeFile(path, brotliCompressSync(tarOf({ a: "b" })));
    await expect(readDriverArchive(path, ["a", "c"])).rejects.toThrow('no whole file "c"');
  });
});
