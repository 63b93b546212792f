/** A local server in the place of the Hub: one that serves, cuts, ignores ranges and lies. */
import { createHash } from "node:crypto";
import { lstat, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LyingServer, lyingServer } from "../../weights/http/testing/lying-server.js";
import { cachedSnapshot, repositoryFolder } from "./hub-cache.js";
import { pullRepository } from "./pull.js";

const COMMIT = "c".repeat(40);
const LARGE = new Uint8Array(300_000).map((_, i) => (i * 31) & 0xff);
const SMALL = new TextEncoder().encode('{"_class_name":"WanPipeline"}');
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const gitHash = (bytes: Uint8Array) =>
  createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

const FILES: Readonly<Record<string, Uint8Array>> = {
  "model_index.json": SMALL,
  "transformer/diffusion_pytorch_model.safetensors": LARGE,
  "empty.txt": new Uint8Array(),
};

let server: LyingServer;
let cache: string;
let asked: { path: string; range: string | undefined; token: string | undefined }[];
/** What a test changes of the answer for the large file; true where it answered. */
let meddle: (request: IncomingMessage, response: ServerResponse, start: number) => boolean;
const env = () => ({ HF_HUB_CACHE: cache, HF_ENDPOINT: server.base, HF_TOKEN: "secret" });
const options = { retryDelay: 1, parallel: 2 };

function listing(names = Object.keys(FILES)) {
  return {
    sha: COMMIT,
    siblings: names.map((rfilename) => {
      const bytes = FILES[rfilename] ?? SMALL;
      const lfs = bytes === LARGE ? { lfs: { sha256: sha256(bytes), size: bytes.length } } : {};
      return { rfilename, size: bytes.length, blobId: gitHash(bytes), ...lfs };
    }),
  };
}

beforeEach(async () => {
  server = await lyingServer();
  cache = await mkdtemp(join(tmpdir(), "lvsa-hub-"));
  asked = [];
  meddle = () => false;
  server.handler = (request, response) => {
    const path = decodeURIComponent(request.url!.split("?")[0]!);
    const { range, authorization: token } = request.headers;
    asked.push({ path, range, token });
    if (path.startsWith("/api/models/own/model/revision/main"))
      return void response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify(listing()));
    const file = FILES[path.slice(`/own/model/resolve/${COMMIT}/`.length)];
    if (!file) return void response.writeHead(404).end();
    const start = Number(/bytes=(\d+)-/.exec(range ?? "")?.[1] ?? 0);
    if (file === LARGE && meddle(request, response, start)) return;
    if (range === undefined) return void response.writeHead(200, { "content-length": file.length }).end(file);
    return void response
      .writeHead(206, { "content-range": `bytes ${start}-${file.length - 1}/${file.length}` })
      .end(file.subarray(start));
  };
});
afterEach(() => server.close());

const large = () => asked.filter(({ path }) => path.endsWith(".safetensors"));

describe("a pull", () => {
  it("lies in the Hub's own layout, is found again, and asks for nothing twice", async () => {
    const heard: number[] = [];
    const folder = await pullRepository("own/model", env(), {
      ...options,
      onProgress: (done, total) => heard.push(done / total),
    });
    const repository = repositoryFolder(cache, "own/model");
    expect(folder).toBe(join(repository, "snapshots", COMMIT));
    expect((await readdir(join(repository, "blobs"))).sort()).toEqual(
      [sha256(LARGE), gitHash(SMALL), gitHash(new Uint8Array())].sort(),
    );
    expect(await readFile(join(repository, "refs", "main"), "utf8")).toBe(COMMIT);
    const weights = join(folder, "transformer", "diffusion_pytorch_model.safetensors");
    expect((await lstat(weights)).isSymbolicLink()).toBe(true);
    expect(Buffer.compare(await readFile(weights), Buffer.from(LARGE))).toBe(0);
    expect(heard.at(-1)).toBe(1);
    expect(asked.every(({ token }) => token === "Bearer secret")).toBe(true);
    expect(await cachedSnapshot("own/model", env())).toBe(folder);
    asked = [];
    await pullRepository("own/model", env(), options);
    expect(asked.map(({ path }) => path)).toEqual(["/api/models/own/model/revision/main"]);
    asked = [];
    expect(await pullRepository("own/model", { ...env(), HF_HUB_OFFLINE: "1" })).toBe(folder);
    expect(asked).toEqual([]);
  });

  it("takes what include says", async () => {
    const folder = await pullRepository("own/model", env(), { ...options, include: ["*.json"] });
    expect(await readdir(folder)).toEqual(["model_index.json"]);
    await expect(
      pullRepository("own/model", env(), { ...options, include: ["*.gguf"] }),
    ).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  it("goes on where the server cut, byte by byte", async () => {
    meddle = (_, response, start) => {
      const end = Math.min(LARGE.length, start + 100_000);
      response.writeHead(start > 0 ? 206 : 200, {
        "content-length": LARGE.length - start,
        ...(start > 0 ? { "content-range": `bytes ${start}-${LARGE.length - 1}/${LARGE.length}` } : {}),
      });
      response.write(LARGE.subarray(start, end), () =>
        end < LARGE.length ? response.destroy() : response.end(),
      );
      return true;
    };
    const folder = await pullRepository("own/model", env(), options);
    const weights = join(folder, "transformer", "diffusion_pytorch_model.safetensors");
    expect(sha256(await readFile(weights))).toBe(sha256(LARGE));
    expect(large().length).toBeGreaterThan(2);
    expect(large().at(-1)!.range).toMatch(/^bytes=\d{5,}-$/);
  });

  it("goes on from what an earlier run left, and begins anew where ranges are ignored", async () => {
    const blobs = join(repositoryFolder(cache, "own/model"), "blobs");
    await pullRepository("own/model", env(), { ...options, include: ["*.json"] });
    await writeFile(join(blobs, `${sha256(LARGE)}.incomplete`), LARGE.subarray(0, 1234));
    await pullRepository("own/model", env(), options);
    expect(large().map(({ range }) => range)).toEqual(["bytes=1234-"]);
  });

  it("takes the whole file from a server that ignores ranges", async () => {
    const blobs = join(repositoryFolder(cache, "own/model"), "blobs");
    await pullRepository("own/model", env(), { ...options, include: ["*.json"] });
    await writeFile(join(blobs, `${sha256(LARGE)}.incomplete`), new Uint8Array(1234));
    meddle = (_, response) => {
      response.writeHead(200, { "content-length": LARGE.length }).end(LARGE);
      return true;
    };
    const folder = await pullRepository("own/model", env(), options);
    const weights = join(folder, "transformer", "diffusion_pytorch_model.safetensors");
    expect(sha256(await readFile(weights))).toBe(sha256(LARGE));
  });

  it("refuses bytes that are not the file's, and keeps none of them", async () => {
    meddle = (_, response) => {
      response.writeHead(200).end(LARGE.map((byte) => byte ^ 1));
      return true;
    };
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({ code: "CHECKSUM" });
    const blobs = await readdir(join(repositoryFolder(cache, "own/model"), "blobs"));
    expect(blobs.filter((name) => name.startsWith(sha256(LARGE)))).toEqual([]);
    expect(await cachedSnapshot("own/model", env())).toBeUndefined();
  });

  it("refuses more bytes than the listing says, and listings that lead out of the folder", async () => {
    meddle = (_, response) => {
      response.writeHead(200).end(new Uint8Array(LARGE.length + 10));
      return true;
    };
    await expect(pullRepository("own/model", env(), { ...options, retries: 0 })).rejects.toMatchObject({
      code: "READ_FAILED",
    });
    for (const name of ["../../x", "/etc/x", "a\\b"]) {
      server.handler = (_, response) =>
        void response
          .writeHead(200, { "content-type": "application/json" })
          .end(JSON.stringify(listing([name])));
      await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({ code: "HUB_ANSWER" });
    }
    server.handler = (_, response) =>
      void response.writeHead(200, { "content-type": "application/json" }).end("[]");
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({ code: "HUB_ANSWER" });
  });

  it("says what is not there: repositories, names, and a connection that is forbidden", async () => {
    await expect(pullRepository("own/none", env(), { ...options, retries: 0 })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(pullRepository("../x", env(), options)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(
      pullRepository("own/model", { ...env(), HF_HUB_OFFLINE: "1" }, options),
    ).rejects.toMatchObject({ code: "OFFLINE" });
    const controller = new AbortController();
    controller.abort();
    await expect(
      pullRepository("own/model", env(), { ...options, signal: controller.signal }),
    ).rejects.toMatchObject({ code: "ABORTED" });
  });
});
