/** Requests that nobody should send: each is answered, with an error in OpenAI's form where it is wrong, and none makes a job. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LvsaError } from "@lvsa/runtime/errors";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningServer, serve } from "./serve.js";
import { errorSchema } from "./wire.js";

const MODEL = fileURLToPath(
  new URL("../../../fixtures/reference/cogvideox/pipeline/checkpoint", import.meta.url),
);
const BYTES = new Uint8Array(1000).map((_, i) => i & 255);
const stop = new AbortController();
let server: RunningServer;
let folder: string;
/** With the key of the tests. */
let ask: (path: string, init?: RequestInit) => Promise<Response>;
let done: string;
let failed: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-server-"));
  server = await serve({
    ...{ port: 0, workspace: folder, command: ["false"], keys: ["mine", "theirs"], leaseMs: 3000 },
    models: new Map([["tiny", MODEL]]),
    limits: { maxPromptLength: 1000 },
    runner: {
      run: async ({ request }, { folder }) => {
        if (request.prompt === "fail") throw new LvsaError("NOT_FINITE", "a step is not finite");
        await writeFile(join(folder, "video.mp4"), BYTES);
        return { file: "video.mp4", bytes: BYTES.length, width: 48, height: 32, frames: 17, fps: 16 };
      },
    },
    signal: stop.signal,
    log: { write: () => undefined },
  });
  ask = (path, { headers, ...init } = {}) =>
    fetch(`${server.url}/v1/videos${path}`, {
      ...init,
      headers: { authorization: "Bearer mine", ...(headers as Record<string, string>) },
    });
  [done, failed] = (await Promise.all(["x", "fail"].map((prompt) => ended(prompt)))) as [string, string];
});
afterAll(async () => {
  stop.abort();
  await server.closed;
  await rm(folder, { recursive: true, force: true });
});

const json = (body: string, type = "application/json") => ({
  method: "POST",
  headers: { "content-type": type },
  body,
});
const form = (...fields: [string, string | Blob][]) => {
  const body = new FormData();
  for (const [name, value] of fields) body.append(name, value);
  return { method: "POST", body };
};

async function ended(prompt: string): Promise<string> {
  const { id } = (await (await ask("", json(JSON.stringify({ prompt })))).json()) as { id: string };
  for (;;) {
    const { status } = (await (await ask(`/${id}`)).json()) as { status: string };
    if (status === "completed" || status === "failed") return id;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function errorOf(answer: Response) {
  expect(answer.headers.get("content-type")).toContain("application/json");
  const { error } = errorSchema.strict().parse(await answer.json());
  expect(error.message.length).toBeGreaterThan(5);
  return error;
}

const PNG = new Blob([new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 0])], { type: "image/png" });

describe("a video is not begun by", () => {
  const cases: [string, RequestInit, number, string | null][] = [
    ["a form without a prompt", form(["size", "48x32"]), 400, "prompt"],
    ["a form with two prompts", form(["prompt", "a"], ["prompt", "b"]), 400, "prompt"],
    [
      "a form with two images",
      form(["prompt", "a"], ["input_reference", PNG], ["input_reference", PNG]),
      400,
      "input_reference",
    ],
    ["a file where text belongs", form(["prompt", PNG]), 400, "prompt"],
    ["a name that objects have", form(["prompt", "a"], ["__proto__", "b"]), 400, "__proto__"],
    ["such a name in JSON", json('{"prompt":"a","__proto__":{"lvsa":true}}'), 400, "__proto__"],
    ["an empty number in a form", form(["prompt", "a"], ["guidance_scale", ""]), 400, "guidance_scale"],
    ["a form without a boundary", json("prompt=a", "multipart/form-data"), 400, null],
    ["a size of nothing", json('{"prompt":"a","size":"0x32"}'), 400, "size"],
    ["a size of too much", json('{"prompt":"a","size":"99999x99999"}'), 400, null],
    ["a size in words", json('{"prompt":"a","size":"1280 x 720"}'), 400, "size"],
    ["huge seconds", json('{"prompt":"a","seconds":1e300}'), 400, null],
    ["endless seconds", json('{"prompt":"a","seconds":1e999}'), 400, "seconds"],
    ["seconds backwards", json('{"prompt":"a","seconds":-4}'), 400, "seconds"],
    ["a guidance of null", json('{"prompt":"a","guidance_scale":null}'), 400, "guidance_scale"],
    ["true steps", json('{"prompt":"a","num_inference_steps":true}'), 400, "num_inference_steps"],
    ["a list of frames", json('{"prompt":"a","num_frames":[17]}'), 400, "num_frames"],
    ["hexadecimal frames", json('{"prompt":"a","num_frames":"0x11"}'), 400, "num_frames"],
    ["a seed of more than 64 bits", json('{"prompt":"a","seed":"18446744073709551616"}'), 400, "seed"],
    ["a null character", json('{"prompt":"a\\u0000b"}'), 400, "prompt"],
    [
      "one in the negative prompt",
      json('{"prompt":"a","negative_prompt":"\\u0000"}'),
      400,
      "negative_prompt",
    ],
    [
      "a long negative prompt",
      json(JSON.stringify({ prompt: "a", negative_prompt: "b".repeat(1001) })),
      400,
      null,
    ],
    ["a model that is not there", json('{"prompt":"a","model":"sora-2"}'), 400, "model"],
    ["half a JSON", json('{"prompt":"a"'), 400, null],
    ["a JSON list", json('["prompt"]'), 400, null],
    ["nothing", json(""), 400, null],
    ["plain text", json("a", "text/plain"), 415, null],
    ["a type that only begins like JSON", json('{"prompt":"a"}', "application/json-seq"), 415, null],
  ];
  it.each(cases)("%s", async (_, init, status, param) => {
    const jobs = await readdir(folder);
    const answer = await ask("", init);
    expect(answer.status).toBe(status);
    expect(await errorOf(answer)).toMatchObject({ type: "invalid_request_error", param });
    expect(await readdir(folder)).toEqual(jobs);
  });
});

describe("a video is begun by", () => {
  it.each<[string, RequestInit]>([
    ["JSON with a byte order mark", json('\ufeff{"prompt":"a"}')],
    ["a type in capitals, with a character set", json('{"prompt":"a"}', "Application/JSON; charset=utf-8")],
    [
      "a form of a page",
      json("prompt=a&seconds=1&guidance_scale=5.0&lvsa=true", "application/x-www-form-urlencoded"),
    ],
    ["numbers as text", json('{"prompt":"a","num_frames":"17","guidance_scale":"6e0"}')],
  ])("%s", async (_, init) => {
    const answer = await ask("", init);
    expect(answer.status, await answer.clone().text()).toBe(200);
    expect(await answer.json()).toMatchObject({ object: "video", prompt: "a" });
  });
});

describe("what there is", () => {
  it("is nothing to a wrong key, and says so in the same words whatever it is asked for", async () => {
    for (const authorization of ["Bearer wrong", "Basic bWluZQ==", "mine", "Bearer ", ""]) {
      for (const path of ["", `/${done}`, `/${done}/content`, `/${done}/preview`, "/video_0"]) {
        const answer = await ask(path, { headers: { authorization } });
        expect(answer.status).toBe(401);
        expect(await errorOf(answer)).toMatchObject({ code: "invalid_api_key" });
      }
    }
    for (const path of [`/${done}`, `/${done}/content`, `/${done}/preview`, `/${done}/events`]) {
      const theirs = await ask(path, { headers: { authorization: "Bearer theirs" } });
      const nothing = await ask(path.replace(done, `${done}0`), {
        headers: { authorization: "Bearer theirs" },
      });
      expect([theirs.status, nothing.status]).toEqual([404, 404]);
      expect((await errorOf(theirs)).code).toBe((await errorOf(nothing)).code);
    }
  });

  it("is deleted once", async () => {
    const id = await ended("gone");
    expect((await ask(`/${id}`, { method: "DELETE" })).status).toBe(200);
    const again = await ask(`/${id}`, { method: "DELETE" });
    expect([again.status, (await errorOf(again)).param]).toEqual([404, "id"]);
    for (const path of [`/${id}/content`, `/${id}/events`, `/${id}/preview`])
      expect((await ask(path)).status).toBe(404);
    expect((await ask(`/${id}/remix`, json('{"prompt":"b"}'))).status).toBe(404);
  });

  it("is remixed with a prompt and nothing else, finished or not", async () => {
    for (const body of ["{}", '{"prompt":""}', '{"prompt":"b","seconds":"4"}', '{"prompt":"\\u0000"}'])
      expect((await ask(`/${done}/remix`, json(body))).status).toBe(400);
    // What is taken over is the request: that of a video that failed, or waits, is there too.
    const remix = await ask(`/${failed}/remix`, json('{"prompt":"b"}'));
    expect(await remix.json()).toMatchObject({ prompt: "b", remixed_from_video_id: failed });
    const content = await ask(`/${failed}/content`);
    expect([content.status, (await errorOf(content)).code]).toEqual([404, "not_ready"]);
  });

  it("is listed in pages that no odd query breaks", async () => {
    const wrong: [string, string][] = [
      ["limit=0", "limit"],
      ["limit=101", "limit"],
      ["limit=ten", "limit"],
      ["limit=", "limit"],
      ["order=ASC", "order"],
      ["after=", "after"],
      ["after=video_0", "after"],
      ["after=..%2F..", "after"],
    ];
    for (const [query, param] of wrong) {
      const answer = await ask(`?${query}`);
      expect([query, answer.status]).toEqual([query, 400]);
      expect((await errorOf(answer)).param).toBe(param);
    }
    const theirs = await ask(`?after=${done}`, { headers: { authorization: "Bearer theirs" } });
    expect(theirs.status).toBe(400);
    const ids = async (order: string) => {
      const seen: string[] = [];
      for (let after = ""; ; ) {
        const answer = await ask(`?limit=2&order=${order}${after && `&after=${after}`}`);
        const page = (await answer.json()) as { data: { id: string }[]; has_more: boolean; last_id: string };
        seen.push(...page.data.map(({ id }) => id));
        if (!page.has_more) return seen;
        after = page.last_id;
      }
    };
    const up = await ids("asc");
    expect(new Set(up).size).toBe(up.length);
    expect(await ids("desc")).toEqual(up.reverse());
  });

  it.each<[string, number, number]>([
    ["bytes=0-0,5-6", 200, 1000],
    ["bytes=5-2", 200, 1000],
    ["bytes=x", 200, 1000],
    ["lines=0-1", 200, 1000],
    ["bytes=-2000", 206, 1000],
    ["bytes=990-5000", 206, 10],
    ["bytes=-0", 416, 0],
    ["bytes=99999999999999999999-", 416, 0],
  ])("gives %s with %i", async (range, status, bytes) => {
    const answer = await ask(`/${done}/content`, { headers: { range } });
    expect(answer.status).toBe(status);
    if (status === 416) {
      expect(answer.headers.get("content-range")).toBe("bytes */1000");
      await errorOf(answer);
    } else expect((await answer.arrayBuffer()).byteLength).toBe(bytes);
  });

  it("answers HEAD with the headers alone, and other methods with an error", async () => {
    const head = await ask(`/${done}/content`, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "1000", ""]);
    expect((await ask(`/${done}`, { method: "HEAD" })).status).toBe(200);
    expect((await ask("/video_0", { method: "HEAD" })).status).toBe(404);
    for (const method of ["PUT", "PATCH"]) {
      const answer = await ask(`/${done}`, { method });
      expect(answer.status).toBe(404);
      await errorOf(answer);
    }
    const thumbnail = await ask(`/${done}/content?variant=thumbnail`);
    expect([thumbnail.status, (await errorOf(thumbnail)).param]).toEqual([400, "variant"]);
  });
});
