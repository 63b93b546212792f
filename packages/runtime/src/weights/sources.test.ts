/** The same checks on every kind of source: memory, Blob, HTTP ranges and disk. */
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fileSource, nodeFolder } from "../node/file-source.js";
import { type ByteSource, blobSource, memorySource } from "./byte-source.js";
import { type FolderReader, httpFolder, joinPath, memoryFolder, subFolder } from "./folder.js";
import { largestFile } from "./folder-limits.js";
import { httpSource } from "./http/http-source.js";
import { openWeights } from "./open-weights.js";

const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
const config = '{"name":"ü"}';
let folder: string;
let server: Server;
let base: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-sources-"));
  await writeFile(join(folder, "data.bin"), bytes);
  await writeFile(join(folder, "config.json"), config);
  await writeFile(join(folder, "latin1.txt"), new Uint8Array([0xe9]));
  const files: Record<string, Uint8Array> = {
    "/model/data.bin": bytes,
    "/model/empty.bin": new Uint8Array(0),
    "/model/config.json": new TextEncoder().encode(config),
    "/model/latin1.txt": new Uint8Array([0xe9]),
  };
  server = createServer((request, response) => {
    const file = files[decodeURIComponent(request.url!.split("?")[0]!)];
    if (!file) return response.writeHead(404).end("no such file");
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "");
    if (!range) return response.writeHead(200).end(file);
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]), file.length - 1)];
    if (start >= file.length) {
      return response.writeHead(416, { "content-range": `bytes */${file.length}` }).end();
    }
    response.writeHead(206, { "content-range": `bytes ${start}-${end}/${file.length}` });
    return response.end(file.subarray(start, end + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const fast = { retryDelay: 1 };
const kinds: [string, () => Promise<ByteSource>][] = [
  ["memory", async () => memorySource(bytes, "data.bin")],
  ["Blob", async () => blobSource(new Blob([bytes]), "data.bin")],
  ["HTTP", () => httpSource(`${base}/data.bin`, fast)],
  ["disk", () => fileSource(join(folder, "data.bin"))],
];

describe.each(kinds)("a source from %s", (_, open) => {
  it("reads ranges into a new array or into a given one", async () => {
    const source = await open();
    expect(source.size).toBe(bytes.length);
    expect(source.name).toContain("data.bin");
    expect(await source.read(777, 5000)).toEqual(bytes.slice(777, 5777));
    expect((await source.read(bytes.length, 0)).length).toBe(0);
    const into = new Uint8Array(64).fill(9);
    const view = await source.read(bytes.length - 10, 10, into);
    expect(view.buffer).toBe(into.buffer);
    expect(view).toEqual(bytes.slice(-10));
    expect(into[10]).toBe(9);
    // A new array is the caller's: changing it changes nothing else.
    (await source.read(0, 4)).fill(255);
    expect(await source.read(0, 4)).toEqual(bytes.slice(0, 4));
    await source.close();
  });

  it("refuses what is outside of the file, and a buffer that is too small", async () => {
    const source = await open();
    for (const [offset, length] of [
      [bytes.length - 1, 2],
      [-1, 1],
      [Number.NaN, 1],
      [0, 1e300],
    ] as const) {
      await expect(source.read(offset, length)).rejects.toMatchObject({ code: "TRUNCATED" });
    }
    await expect(source.read(0, 5, new Uint8Array(4))).rejects.toMatchObject({ code: "BUFFER_TOO_SMALL" });
    await source.close();
  });
});

describe("a file on disk", () => {
  it("says what is wrong with the path", async () => {
    const missing = join(folder, "missing.safetensors");
    await expect(fileSource(missing)).rejects.toMatchObject({ code: "NOT_FOUND", where: missing });
    await expect(fileSource(folder)).rejects.toMatchObject({
      code: "NOT_A_FILE",
      fix: expect.stringContaining("folder"),
    });
  });

  it.skipIf(process.platform === "win32")("refuses what is no file, at once", async () => {
    const pipe = join(folder, "pipe.safetensors");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      await expect(fileSource(path)).rejects.toMatchObject({
        code: "NOT_A_FILE",
        message: expect.stringContaining("a pipe, a device or a socket"),
        where: path,
      });
    }
    await expect(nodeFolder(folder).readText("pipe.safetensors")).rejects.toMatchObject({
      code: "NOT_A_FILE",
    });
    await rm(pipe);
  });

  it.skipIf(process.platform === "win32")(
    "tells links that lead in a circle from files that are not there",
    async () => {
      const loop = join(folder, "loop");
      await symlink("loop", loop);
      const files = nodeFolder(folder);
      await expect(files.exists("loop/config.json")).rejects.toMatchObject({
        code: "NOT_READABLE",
        message: "the links lead in a circle.",
        where: join(loop, "config.json"),
      });
      expect(await files.exists("missing/config.json")).toBe(false);
      await rm(loop);
      // As the Hub's cache has it after half of a download.
      const name = "diffusion_pytorch_model.safetensors";
      await symlink("blobs/nowhere", join(folder, name));
      await expect(openWeights(files, "diffusion_pytorch_model")).rejects.toMatchObject({
        code: "NOT_FOUND",
        message: "this is a link to a file that is not there.",
        where: join(folder, name),
      });
      await rm(join(folder, name));
    },
  );

  it("reads small files only up to the size of their kind", async () => {
    const large = join(folder, "large_config.json");
    await writeFile(large, "{}");
    await truncate(large, 3_000_000_000);
    await expect(nodeFolder(folder).readText("large_config.json")).rejects.toMatchObject({
      code: "TOO_LARGE",
      message: expect.stringContaining("3000000000 bytes; at most 16777216"),
      where: large,
    });
    await rm(large);
    expect(largestFile("tokenizer/tokenizer.json")).toBeGreaterThan(64e6);
  });

  it("notices when it becomes shorter, and when it was closed", async () => {
    const path = join(folder, "shrinks.bin");
    await writeFile(path, bytes);
    const source = await fileSource(path);
    await truncate(path, 50);
    await expect(source.read(0, 100)).rejects.toThrow(/100000 bytes when it was opened.*byte 50/);
    await source.close();
    await source.close();
    await expect(source.read(0, 1)).rejects.toMatchObject({ code: "READ_FAILED" });
  });
});

const folders: [string, () => FolderReader][] = [
  [
    "memory",
    () => memoryFolder({ "data.bin": bytes, "config.json": config, "latin1.txt": new Uint8Array([0xe9]) }),
  ],
  ["disk", () => nodeFolder(folder)],
  [
    "HTTP",
    () => httpFolder(`${base}/?token=1`, { ...fast, files: ["data.bin", "config.json", "latin1.txt"] }),
  ],
  ["HTTP without a listing", () => httpFolder(base, fast)],
  [
    "a folder inside",
    () =>
      subFolder(
        memoryFolder({
          "a/b/data.bin": bytes,
          "a/b/config.json": config,
          "a/b/latin1.txt": new Uint8Array([0xe9]),
        }),
        "a/./b/",
      ),
  ],
];

describe.each(folders)("a folder from %s", (kind, make) => {
  it("reads text, bytes and ranges", async () => {
    const reader = make();
    expect(await reader.readText("config.json")).toBe(config);
    expect(await reader.readBytes("./data.bin")).toEqual(bytes);
    const source = await reader.open("data.bin");
    expect(await source.read(5, 6)).toEqual(bytes.slice(5, 11));
    await source.close();
    expect(await reader.exists("data.bin")).toBe(true);
    expect(await reader.exists("missing.bin")).toBe(false);
  });

  it("lists what is there", async () => {
    const names = (await make().list()).filter((name) => name !== "shrinks.bin");
    expect(names).toEqual(kind.includes("without") ? [] : ["config.json", "data.bin", "latin1.txt"]);
  });

  it("names what is missing, refuses text that is none and paths that leave the folder", async () => {
    const reader = make();
    for (const read of [reader.open, reader.readBytes, reader.readText]) {
      await expect((async () => read("missing.bin"))()).rejects.toMatchObject({
        code: "NOT_FOUND",
        where: expect.stringContaining("missing.bin"),
      });
      await expect((async () => read("../secret"))()).rejects.toThrow("leaves the model's folder");
    }
    await expect(reader.readText("latin1.txt")).rejects.toThrow("not text in UTF-8");
  });
});

describe("joinPath", () => {
  it("tidies without leaving", () => {
    expect(joinPath("/a/", "./b//c", "../d")).toBe("a/b/d");
    expect(joinPath("")).toBe("");
    expect(() => joinPath("a", "../../b")).toThrow('"a/../../b" leaves');
    // Windows: a separator, a drive, a stream of a file.
    for (const path of ["..\\..\\b", "a\\b", "C:/b", "C:b", "model.safetensors:stream", "a\0b"]) {
      expect(() => joinPath("a", path), path).toThrow("holds");
    }
  });
});
