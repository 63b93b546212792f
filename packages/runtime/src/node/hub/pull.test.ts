/** A local server in the place of the Hub: one that serves, cuts, ignores ranges and lies. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LyingServer, lyingServer } from "../../weights/http/testing/lying-server.js";
import { cachedSnapshot, repositoryFolder } from "./hub-cache.js";
import type { PathChoice } from "./path-patterns.js";
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
/** Names in the listing, and further files. */
let listed: readonly string[];
let copies: Readonly<Record<string, Uint8Array>>;
/** What a test changes of the answer for the large file; true where it answered. */
let meddle: (request: IncomingMessage, response: ServerResponse, start: number) => boolean;
const env = () => ({ HF_HUB_CACHE: cache, HF_ENDPOINT: server.base, HF_TOKEN: "secret" });
const options = { retryDelay: 1, parallel: 2 };

function listing(names: readonly string[] = Object.keys(FILES)) {
  return {
    sha: COMMIT,
    siblings: names.map((rfilename) => {
      const bytes = { ...FILES, ...copies }[rfilename] ?? SMALL;
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
  listed = Object.keys(FILES);
  copies = {};
  server.handler = (request, response) => {
    const path = decodeURIComponent(request.url!.split("?")[0]!);
    const { range, authorization: token } = request.headers;
    asked.push({ path, range, token });
    if (path.startsWith("/api/models/own/model/revision/"))
      return void response
        .writeHead(200, { "content-type": "application/json" })
        .end(JSON.stringify(listing(listed)));
    const file = { ...FILES, ...copies }[path.slice(`/own/model/resolve/${COMMIT}/`.length)];
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

/** Leaves something in the folder of blobs. */
async function leave(name: string, bytes: Uint8Array): Promise<void> {
  const blobs = join(repositoryFolder(cache, "own/model"), "blobs");
  await mkdir(blobs, { recursive: true });
  await writeFile(join(blobs, name), bytes);
}

/** Hash of the large file in a snapshot. */
async function pulled(folder: string): Promise<string> {
  return sha256(await readFile(join(folder, "transformer", "diffusion_pytorch_model.safetensors")));
}

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
  });

  it.each<[string, PathChoice, readonly string[]]>([
    ["a name", { include: ["model_index.json"] }, ["model_index.json"]],
    [
      "one character, and sets",
      { include: ["model?index.[!x-z]son", "[e]mpty.txt"] },
      ["empty.txt", "model_index.json"],
    ],
    ["a folder", { include: ["transformer/"] }, ["transformer"]],
    ["all but some", { exclude: ["*.safetensors", "*.txt"] }, ["model_index.json"]],
    [
      "some but not others",
      { include: ["*e*"], exclude: ["transformer/**"] },
      ["empty.txt", "model_index.json"],
    ],
  ])("takes by patterns: %s", async (_what, choice, expected) => {
    const folder = await pullRepository("own/model", env(), { ...options, ...choice });
    expect((await readdir(folder)).sort()).toEqual(expected);
    // What was pulled is what the same call finds offline.
    expect(await pullRepository("own/model", { ...env(), HF_HUB_OFFLINE: "1" }, choice)).toBe(folder);
  });

  it.each<[string, PathChoice, string]>([
    ["of nothing", { include: ["*.gguf"] }, 'include "*.gguf"'],
    ["beside one that fits", { include: ["*.json", "vae/*", "x[z-a]"] }, 'include "vae/*", include "x[z-a]"'],
    ["that would leave nothing out", { exclude: ["*.bin"] }, 'exclude "*.bin"'],
    ["that leave nothing", { include: ["*.json"], exclude: ["model*"] }, "none of the 3 files"],
  ])("refuses patterns %s, before it brings anything", async (_what, choice, named) => {
    const pull = pullRepository("own/model", env(), { ...options, ...choice });
    await expect(pull).rejects.toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining(named) });
    expect(asked).toHaveLength(1);
    if (choice.exclude && !choice.include) return;
    await pullRepository("own/model", env(), options);
    const offline = pullRepository("own/model", { ...env(), HF_HUB_OFFLINE: "1" }, choice);
    await expect(offline).rejects.toMatchObject({ code: "OFFLINE", message: expect.stringContaining(named) });
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

  it("asks again while a server throttles, also in the middle of a file", async () => {
    let refusals = 0;
    meddle = (_, response, start) => {
      if (start > 0 && refusals++ < 2) {
        response.writeHead(refusals === 1 ? 429 : 503, { "retry-after": "0" }).end("slow down");
        return true;
      }
      if (start > 0) return false;
      response.writeHead(200, { "content-length": LARGE.length });
      response.write(LARGE.subarray(0, 100_000), () => response.destroy());
      return true;
    };
    const folder = await pullRepository("own/model", env(), options);
    expect(await pulled(folder)).toBe(sha256(LARGE));
    expect(large().map(({ range }) => range)).toEqual([undefined, ...Array(3).fill("bytes=100000-")]);
  });

  it("begins anew where the server has nothing at the place where it left off", async () => {
    await leave(`${sha256(LARGE)}.incomplete`, LARGE.subarray(0, 1234));
    meddle = (_, response, start) => {
      if (start === 0) return false;
      response.writeHead(416, { "content-range": "bytes */99" }).end("no such range");
      return true;
    };
    expect(await pulled(await pullRepository("own/model", env(), options))).toBe(sha256(LARGE));
    expect(large().map(({ range }) => range)).toEqual(["bytes=1234-", undefined]);
  });

  it.each([
    ["of another length", { "content-range": `bytes 1234-${LARGE.length - 1}/${LARGE.length + 1}` }],
    ["from another place", { "content-range": `bytes 1235-${LARGE.length - 1}/${LARGE.length}` }],
    ["of no stated place", {}],
  ])("refuses a part %s, and keeps what it had", async (_, headers) => {
    await leave(`${sha256(LARGE)}.incomplete`, LARGE.subarray(0, 1234));
    meddle = (_request, response) => {
      response.writeHead(206, headers as Record<string, string>).end(LARGE.subarray(1234));
      return true;
    };
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({ code: "READ_FAILED" });
    meddle = () => false;
    expect(await pulled(await pullRepository("own/model", env(), options))).toBe(sha256(LARGE));
    expect(large().at(-1)!.range).toBe("bytes=1234-");
  });

  it("ends where every answer is too short", async () => {
    meddle = (_, response) => {
      response.writeHead(200, { "content-length": 1000 }).end(LARGE.subarray(0, 1000));
      return true;
    };
    await expect(pullRepository("own/model", env(), { ...options, retries: 1 })).rejects.toMatchObject({
      code: "READ_FAILED",
      message: expect.stringContaining(`ended at byte 1000 of ${LARGE.length}`),
    });
  });

  it("takes files that a server compresses though nobody asked for it", async () => {
    meddle = (request, response) => {
      expect(request.headers["accept-encoding"]).toBe("identity");
      const zipped = gzipSync(LARGE);
      response.writeHead(200, { "content-encoding": "gzip", "content-length": zipped.length }).end(zipped);
      return true;
    };
    expect(await pulled(await pullRepository("own/model", env(), options))).toBe(sha256(LARGE));
  });

  it("follows to another host, where it does not show the token", async () => {
    meddle = (request, response) => {
      if (request.headers.host === new URL(server.otherHost).host) return false;
      response.writeHead(302, { location: `${server.otherHost}${request.url}` }).end();
      return true;
    };
    expect(await pulled(await pullRepository("own/model", env(), options))).toBe(sha256(LARGE));
    expect(large().map(({ token }) => token)).toEqual(["Bearer secret", undefined]);
  });

  it.each([401, 403])("says where a token is given: HTTP %i", async (status) => {
    server.handler = (_, response) => void response.writeHead(status).end("{}");
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({
      code: "NO_ACCESS",
      fix: expect.stringContaining("the token of HF_TOKEN"),
    });
    await expect(
      pullRepository("own/model", { ...env(), HF_TOKEN: undefined }, options),
    ).rejects.toMatchObject({ code: "NO_ACCESS", fix: expect.stringContaining("as HF_TOKEN") });
  });

  it("may run twice at once, and brings what several paths share once", async () => {
    const names = [...Object.keys(FILES), "again/copy.safetensors", "again/index.json"];
    copies = { "again/copy.safetensors": LARGE, "again/index.json": SMALL };
    // Slow enough that both are in the middle of the file.
    meddle = (_, response, start) => {
      response.writeHead(start > 0 ? 206 : 200, {
        ...(start > 0 ? { "content-range": `bytes ${start}-${LARGE.length - 1}/${LARGE.length}` } : {}),
      });
      response.write(LARGE.subarray(start, 150_000));
      setTimeout(() => response.end(LARGE.subarray(Math.max(start, 150_000))), 100);
      return true;
    };
    listed = names;
    const folders = await Promise.all([1, 2].map(() => pullRepository("own/model", env(), options)));
    expect(folders[0]).toBe(folders[1]);
    for (const name of names) {
      const expected = { ...FILES, ...copies }[name]!;
      expect(sha256(await readFile(join(folders[0]!, name))), name).toBe(sha256(expected));
    }
    expect(large().filter(({ path }) => path.includes("copy")).length).toBe(0);
    const blobs = await readdir(join(repositoryFolder(cache, "own/model"), "blobs"));
    expect(blobs.filter((name) => name.includes("incomplete"))).toEqual([]);
    expect(blobs).toHaveLength(3);
  });

  it("goes on from what a process that was killed left, and not from that of one that lives", async () => {
    const host = hostname().replaceAll(/[^\w]/g, "_");
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    const uuid = crypto.randomUUID();
    await leave(`${sha256(LARGE)}.${host}-${process.pid}-${uuid}.incomplete`, new Uint8Array(500));
    await leave(`${sha256(LARGE)}.${host}-${dead}-${uuid}.incomplete`, LARGE.subarray(0, 2345));
    expect(await pulled(await pullRepository("own/model", env(), options))).toBe(sha256(LARGE));
    expect(large().map(({ range }) => range)).toEqual(["bytes=2345-"]);
  });

  it("leaves what it has when it is stopped", async () => {
    const controller = new AbortController();
    meddle = (_, response) => {
      response.writeHead(200, { "content-length": LARGE.length });
      response.write(LARGE.subarray(0, 50_000));
      return true;
    };
    const work = pullRepository("own/model", env(), {
      ...{ ...options, signal: controller.signal },
      onProgress: (done) => done >= 50_000 && controller.abort(),
    });
    await expect(work).rejects.toMatchObject({ code: "ABORTED" });
    const blobs = await readdir(join(repositoryFolder(cache, "own/model"), "blobs"));
    expect(blobs.filter((name) => name.includes("incomplete"))).toEqual([`${sha256(LARGE)}.incomplete`]);
  });

  it.skipIf(!existsSync("/dev/full"))("says that the disk is full (needs /dev/full)", async () => {
    const blobs = join(repositoryFolder(cache, "own/model"), "blobs");
    await mkdir(blobs, { recursive: true });
    await symlink("/dev/full", join(blobs, `${sha256(LARGE)}.incomplete`));
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({
      code: "WRITE_FAILED",
      fault: "run",
      fix: expect.stringContaining("Free some space"),
    });
  });

  it("says that the cache can not be written", async () => {
    await writeFile(join(cache, "file"), "");
    await expect(
      pullRepository("own/model", { ...env(), HF_HUB_CACHE: join(cache, "file") }, options),
    ).rejects.toMatchObject({ code: "WRITE_FAILED" });
  });

  it.each([
    ["one path twice", ["a.json", "a.json"]],
    ["a file that is a folder too", ["a", "a/b.json"]],
  ])("refuses listings with %s", async (_, names) => {
    listed = names;
    await expect(pullRepository("own/model", env(), options)).rejects.toMatchObject({ code: "HUB_ANSWER" });
  });

  it("takes a commit for itself, and refuses the listing of another", async () => {
    const folder = await pullRepository("own/model", env(), { ...options, revision: COMMIT });
    expect(await readdir(repositoryFolder(cache, "own/model"))).not.toContain("refs");
    expect(await cachedSnapshot("own/model", env(), COMMIT)).toBe(folder);
    await expect(
      pullRepository("own/model", env(), { ...options, revision: "d".repeat(40) }),
    ).rejects.toMatchObject({ code: "HUB_ANSWER", message: expect.stringContaining(`of commit ${COMMIT}`) });
  });

  it("writes no reference outside of its folder", async () => {
    for (const revision of ["../../../evil", "/etc/evil", "a//b", "..", "a\\b"]) {
      asked = [];
      await expect(pullRepository("own/model", env(), { ...options, revision })).rejects.toMatchObject({
        code: "NOT_FOUND",
      });
      expect(asked).toEqual([]);
      expect(await cachedSnapshot("own/model", env(), revision)).toBeUndefined();
    }
  });

  it("offline, names what the cache lacks: parts of the model, shards, blobs, revisions", async () => {
    const offline = (choice: PathChoice & { revision?: string } = {}) =>
      pullRepository("own/model", { ...env(), HF_HUB_OFFLINE: "1" }, choice);
    const refused = (named: string, choice = {}) =>
      expect(offline(choice)).rejects.toMatchObject({
        code: "OFFLINE",
        message: expect.stringContaining(named),
      });
    const text = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));
    copies = {
      "model_index.json": text({
        _class_name: "P",
        transformer: ["diffusers", "T"],
        vae: ["diffusers", "V"],
        x: [null, null],
      }),
      "vae/model.safetensors.index.json": text({
        weight_map: { a: "one.safetensors", b: "two.safetensors" },
      }),
      "vae/one.safetensors": new Uint8Array(5),
    };
    listed = [...Object.keys(FILES), ...Object.keys(copies).slice(1)];
    await pullRepository("own/model", env(), { ...options, include: ["*.json"] });
    await refused("the cache has no transformer/, vae/one.safetensors, vae/two.safetensors,");
    await pullRepository("own/model", env(), { ...options, include: ["transformer/"] });
    await refused("vae/one.safetensors, vae/two.safetensors");
    const folder = await pullRepository("own/model", env(), { ...options, exclude: ["empty.txt"] });
    await refused("the cache has no vae/two.safetensors,");
    expect(await offline({ include: ["transformer/*"] })).toBe(folder);
    await rm(join(repositoryFolder(cache, "own/model"), "blobs", sha256(LARGE)));
    await refused("no transformer/diffusion_pytorch_model.safetensors,", { include: ["transformer/*"] });
    await refused(`revision "v2" is not in the cache, which has main, ${COMMIT}`, { revision: "v2" });
    await refused("revision", { revision: "d".repeat(40) });
  });

  it("says what is not there: repositories, names, and a connection that is forbidden", async () => {
    await expect(
      pullRepository("own/none", env(), { ...options, retries: 0, revision: "v2" }),
    ).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining('no "own/none" of the revision "v2"'),
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
