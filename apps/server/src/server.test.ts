/** The server over HTTP with OpenAI's own client, and a runner that makes files instead of videos. */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobRecord } from "@lvsa/jobs";
import { type Runner, RunnerDiedError } from "@lvsa/jobs/node";
import { LvsaError } from "@lvsa/runtime/errors";
import OpenAI, { toFile } from "openai";
import { afterEach, describe, expect, it } from "vitest";
import { type RunningServer, type ServeOptions, serve } from "./serve.js";

const MODEL = fileURLToPath(
  new URL("../../../fixtures/reference/cogvideox/pipeline/checkpoint", import.meta.url),
);
const BYTES = new Uint8Array(1000).map((_, i) => i & 255);

/** Ends as the prompt says. */
function fakeRunner(seen: JobRecord[] = []): Runner {
  return {
    async run(job, { folder, signal, onProgress }) {
      seen.push(job);
      const { prompt } = job.request;
      onProgress({ progress: 50 });
      if (prompt === "fail") throw new LvsaError("NOT_FINITE", "step 3 of the transformer is not finite");
      if (prompt === "die once" && job.attempt === 1) throw new RunnerDiedError("killed");
      if (prompt === "wait")
        await new Promise((_, reject) =>
          signal.addEventListener("abort", () => reject(new Error("stopped"))),
        );
      await writeFile(join(folder, "video.mp4"), BYTES);
      return { file: "video.mp4", bytes: BYTES.length, width: 48, height: 32, frames: 17, fps: 16 };
    },
  };
}

const open: { stop: AbortController; server: RunningServer; folder: string }[] = [];
afterEach(async () => {
  for (const { stop, server, folder } of open.splice(0)) {
    stop.abort();
    await server.closed;
    await rm(folder, { recursive: true, force: true });
  }
});

async function start(options: Partial<ServeOptions> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "lvsa-server-"));
  const stop = new AbortController();
  const lines: string[] = [];
  const server = await serve({
    port: 0,
    models: new Map([["tiny", MODEL]]),
    workspace: folder,
    command: ["false"],
    runner: fakeRunner(),
    leaseMs: 3000,
    signal: stop.signal,
    log: { write: (line) => lines.push(line) },
    ...options,
  });
  open.push({ stop, server, folder });
  const client = (apiKey = "none") => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
  return { ...server, client, lines, stop };
}

async function ended(client: OpenAI, id: string): Promise<OpenAI.Videos.Video> {
  for (let i = 0; i < 200; i++) {
    const video = await client.videos.retrieve(id);
    if (video.status === "completed" || video.status === "failed") return video;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${id} does not end`);
}

describe("with OpenAI's client", () => {
  it("creates, follows, downloads, lists, remixes and deletes a video", async () => {
    const { client } = await start();
    const openai = client();
    const made = await openai.videos.create({
      model: "tiny" as OpenAI.Videos.VideoModel,
      prompt: "A cat",
      seconds: "1" as OpenAI.Videos.VideoSeconds,
      size: "48x32" as OpenAI.Videos.VideoSize,
    });
    expect(made).toMatchObject({ object: "video", model: "tiny", prompt: "A cat", size: "48x32" });
    // 9 frames are the nearest to 8 that the model makes, at its 8 frames per second.
    expect(Number(made.seconds)).toBe(9 / 8);
    const video = await ended(openai, made.id);
    expect(video).toMatchObject({ status: "completed", progress: 100, error: null });
    const content = await openai.videos.downloadContent(made.id);
    expect(content.headers.get("content-type")).toBe("video/mp4");
    expect(new Uint8Array(await content.arrayBuffer())).toEqual(BYTES);
    const remix = await openai.videos.remix(made.id, { prompt: "A dog" });
    expect(remix).toMatchObject({ prompt: "A dog", remixed_from_video_id: made.id, size: "48x32" });
    await ended(openai, remix.id);
    const listed: string[] = [];
    for await (const each of openai.videos.list({ limit: 1 })) listed.push(each.id);
    expect(listed).toEqual([remix.id, made.id]);
    expect(await openai.videos.delete(made.id)).toEqual({
      id: made.id,
      object: "video.deleted",
      deleted: true,
    });
    await expect(openai.videos.retrieve(made.id)).rejects.toMatchObject({ status: 404 });
  });

  it("says what failed, and tries again what died", async () => {
    const seen: JobRecord[] = [];
    const { client } = await start({ runner: fakeRunner(seen) });
    const openai = client();
    const failed = await ended(openai, (await openai.videos.create({ prompt: "fail" })).id);
    expect(failed).toMatchObject({ status: "failed", error: { code: "NOT_FINITE" } });
    const died = await ended(openai, (await openai.videos.create({ prompt: "die once" })).id);
    expect(died.status).toBe("completed");
    expect(seen.filter((job) => job.id === died.id).map((job) => job.attempt)).toEqual([1, 2]);
  });

  it("stops a running video that is cancelled or deleted", async () => {
    const { client, url } = await start();
    const openai = client();
    for (const how of ["cancel", "delete"]) {
      const { id } = await openai.videos.create({ prompt: "wait" });
      while ((await openai.videos.retrieve(id)).status !== "in_progress")
        await new Promise((r) => setTimeout(r, 20));
      if (how === "cancel") {
        await fetch(`${url}/v1/videos/${id}/cancel`, { method: "POST" });
        expect(await ended(openai, id)).toMatchObject({ status: "failed", error: { code: "cancelled" } });
      } else await openai.videos.delete(id);
      // The worker is free again.
      expect((await ended(openai, (await openai.videos.create({ prompt: "next" })).id)).status).toBe(
        "completed",
      );
    }
  });

  it("keeps owners apart, and refuses strangers", async () => {
    const { client, url } = await start({ keys: ["one", "two"] });
    const mine = await client("one").videos.create({ prompt: "A cat" });
    const other = client("two");
    for (const attempt of [
      () => other.videos.retrieve(mine.id),
      () => other.videos.delete(mine.id),
      () => other.videos.downloadContent(mine.id),
      () => other.videos.remix(mine.id, { prompt: "x" }),
    ])
      await expect(attempt()).rejects.toMatchObject({ status: 404 });
    expect((await other.videos.list()).data).toEqual([]);
    await expect(client("three").videos.list()).rejects.toMatchObject({ status: 401 });
    expect((await fetch(`${url}/v1/videos/${mine.id}/events`)).status).toBe(401);
    expect((await ended(client("one"), mine.id)).status).toBe("completed");
  });

  it("takes an image only where the model does, and only an image", async () => {
    const { client } = await start();
    const png = await toFile(new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 0]), "x.png");
    await expect(client().videos.create({ prompt: "x", input_reference: png })).rejects.toMatchObject({
      status: 400,
      code: "image_unsupported",
    });
    const text = await toFile(new TextEncoder().encode("hello"), "x.png");
    await expect(client().videos.create({ prompt: "x", input_reference: text })).rejects.toMatchObject({
      code: "bad_image",
    });
  });
});

describe("over HTTP", () => {
  const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/videos`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });

  it("refuses what it does not know, with the field's name", async () => {
    const { url } = await start({ limits: { maxPixels: 48 * 32 * 100, maxSteps: 10, maxPromptLength: 50 } });
    const cases: [unknown, string | null, string][] = [
      [{ prompt: "" }, "prompt", "bad_request"],
      [{}, "prompt", "bad_request"],
      [{ prompt: "x", colour: "red" }, "colour", "bad_request"],
      [{ prompt: "x", size: "big" }, "size", "bad_request"],
      [{ prompt: "x", size: "50x32" }, null, "bad_size"],
      [{ prompt: "x", num_frames: 18 }, null, "bad_frame_count"],
      [{ prompt: "x", num_frames: 101, size: "48x32" }, null, "over_limit"],
      [{ prompt: "x", num_inference_steps: 11 }, null, "over_limit"],
      [{ prompt: "x".repeat(51) }, null, "over_limit"],
      [{ prompt: "x", seconds: 1, num_frames: 17 }, null, "bad_request"],
      [{ prompt: "x", model: "../../etc" }, "model", "model_not_found"],
      [
        { prompt: "x", input_reference: { image_url: "http://127.0.0.1/x.png" } },
        "input_reference",
        "bad_image",
      ],
      [{ prompt: "x", seed: "1.5" }, "seed", "bad_request"],
    ];
    for (const [body, param, code] of cases) {
      const answer = await post(url, body);
      expect([answer.status, JSON.stringify(body)]).toEqual([400, JSON.stringify(body)]);
      const { error } = (await answer.json()) as { error: Record<string, unknown> };
      expect(error).toMatchObject({ param, code, type: "invalid_request_error" });
    }
  });

  it("takes exact seeds, as number or as text", async () => {
    const seen: JobRecord[] = [];
    const { url, client } = await start({ runner: fakeRunner(seen) });
    for (const seed of [42, "18446744073709551615", "-9223372036854775808"]) {
      const { id } = (await (await post(url, { prompt: "x", seed })).json()) as { id: string };
      await ended(client(), id);
    }
    expect(seen.map((job) => job.request.seed)).toEqual([
      "42",
      "18446744073709551615",
      "-9223372036854775808",
    ]);
  });

  it("gives ranges of the file", async () => {
    const { url, client } = await start();
    const { id } = await client().videos.create({ prompt: "x" });
    await ended(client(), id);
    const get = (headers: Record<string, string>) => fetch(`${url}/v1/videos/${id}/content`, { headers });
    const part = await get({ range: "bytes=10-19" });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 10-19/1000"]);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(BYTES.slice(10, 20));
    const tail = await get({ range: "bytes=-5" });
    expect(new Uint8Array(await tail.arrayBuffer())).toEqual(BYTES.slice(-5));
    expect((await get({ range: "bytes=1000-" })).status).toBe(416);
    const etag = part.headers.get("etag") ?? "";
    expect((await get({ "if-none-match": etag })).status).toBe(304);
    expect((await get({ range: "bytes=0-1", "if-range": '"other"' })).status).toBe(200);
  });

  it("streams progress until the end", async () => {
    const { url, client } = await start();
    const { id } = await client().videos.create({ prompt: "x" });
    const text = await (await fetch(`${url}/v1/videos/${id}/events`)).text();
    const events = text
      .split("\n")
      .flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6))] : []));
    expect(events.at(-1)).toMatchObject({ id, status: "completed", progress: 100 });
  });

  it("shows what a video looks like while it is in progress, to its key alone", async () => {
    let allowed = 0;
    const seen = async (step: number, signal: AbortSignal) => {
      while (allowed < step && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const { url } = await start({
      keys: ["one", "two"],
      runner: {
        async run(_, { folder, signal }) {
          const path = join(folder, "video.mp4.preview.png");
          for (const [step, picture] of ["first", "second"].entries()) {
            await seen(step, signal);
            await writeFile(`${path}.partial`, picture);
            await rename(`${path}.partial`, path);
          }
          await seen(2, signal);
          await rm(path);
          await writeFile(join(folder, "video.mp4"), BYTES);
          return { file: "video.mp4", bytes: BYTES.length, width: 48, height: 32, frames: 17, fps: 16 };
        },
      },
    });
    const get = (path: string, key = "one") =>
      fetch(`${url}${path}`, { headers: { authorization: `Bearer ${key}` } });
    const made = await post(url, { prompt: "x" }, { authorization: "Bearer one" });
    const { id } = (await made.json()) as { id: string };
    const events = (await get(`/v1/videos/${id}/events`)).body!.pipeThrough(new TextDecoderStream());
    const urls: (string | null)[] = [];
    const pictures: string[] = [];
    for await (const text of events) {
      for (const line of text.split("\n").filter((line) => line.startsWith("data: "))) {
        const video = JSON.parse(line.slice(6)) as { status: string; preview_url: string | null };
        if (video.preview_url !== null && !urls.includes(video.preview_url)) {
          const picture = await get(video.preview_url);
          expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/png"]);
          pictures.push(await picture.text());
          expect((await get(video.preview_url, "two")).status).toBe(404);
          expect((await get(video.preview_url, "three")).status).toBe(401);
        }
        urls.push(video.preview_url);
        allowed = pictures.length;
      }
    }
    expect(pictures).toEqual(["first", "second"]);
    expect(urls.at(-1)).toBeNull();
    expect((await get(`/v1/videos/${id}/preview`)).status).toBe(404);
  });

  it("limits how many videos a key has open, and how large a request is", async () => {
    const { url } = await start({ limits: { maxOpenJobs: 2, maxBodyBytes: 1000 }, workers: 0 });
    expect((await post(url, { prompt: "1" })).status).toBe(200);
    expect((await post(url, { prompt: "2" })).status).toBe(200);
    const refused = await post(url, { prompt: "3" });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "10"]);
    expect((await post(url, { prompt: "x".repeat(2000) })).status).toBe(413);
  });

  it("answers no foreign page when it has no keys", async () => {
    const { url } = await start();
    expect((await post(url, { prompt: "x" }, { origin: "https://elsewhere.example" })).status).toBe(403);
    expect((await post(url, { prompt: "x" }, { origin: url })).status).toBe(200);
  });

  it("listens to others only with keys", async () => {
    await expect(start({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "OPEN_SERVER" });
  });

  it("describes itself", async () => {
    const { url } = await start();
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
      paths: Record<string, unknown>;
    };
    expect(Object.keys(document.paths)).toContain("/v1/videos/{id}/content");
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ status: "ok" });
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/lvsa_jobs\{status="queued"\} \d/);
    const page = await fetch(url);
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect((await fetch(`${url}/nowhere`)).status).toBe(404);
  });
});
