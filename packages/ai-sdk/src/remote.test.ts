/** The SDK's own `experimental_generateVideo` against our own server, with a runner that makes a file of bytes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobRecord } from "@lvsa/jobs";
import { LvsaError } from "@lvsa/runtime/errors";
import { experimental_generateVideo as generateVideo } from "ai";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RunningServer, serve } from "../../../apps/server/src/serve.js";
import { createLvsa } from "./remote.js";

const MODEL = fileURLToPath(
  new URL("../../../fixtures/reference/cogvideox/pipeline/checkpoint", import.meta.url),
);
// What an MP4 begins with: the SDK looks at the bytes.
const BYTES = new Uint8Array([
  0,
  0,
  0,
  24,
  0x66,
  0x74,
  0x79,
  0x70,
  0x69,
  0x73,
  0x6f,
  0x6d,
  ...new Array(64).fill(7),
]);

const stop = new AbortController();
const jobs: JobRecord[] = [];
const stopped: string[] = [];
let server: RunningServer;
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lvsa-ai-"));
  server = await serve({
    port: 0,
    models: new Map([["tiny", MODEL]]),
    workspace: folder,
    command: ["false"],
    leaseMs: 3000,
    keys: ["secret"],
    signal: stop.signal,
    log: { write() {} },
    runner: {
      async run(job, context) {
        jobs.push(job);
        if (job.request.prompt === "fail") throw new LvsaError("NOT_FINITE", "step 3 is not finite");
        if (job.request.prompt === "wait")
          await new Promise((_, reject) =>
            context.signal.addEventListener("abort", () => {
              stopped.push(job.id);
              reject(new Error("stopped"));
            }),
          );
        await writeFile(join(context.folder, "video.mp4"), BYTES);
        return { file: "video.mp4", bytes: BYTES.length, width: 48, height: 32, frames: 9, fps: 8 };
      },
    },
  });
});
afterAll(async () => {
  stop.abort();
  await server.closed;
  await rm(folder, { recursive: true });
});

const model = (apiKey = "secret") =>
  createLvsa({ baseURL: `${server.url}/v1`, apiKey, pollMs: 20 }).video("tiny");

it("makes a video, passes every option on, and says what has no effect", async () => {
  const { video, warnings, providerMetadata } = await generateVideo({
    model: model(),
    prompt: "A cat",
    duration: 1,
    resolution: "48x32",
    seed: 42,
    generateAudio: true,
    providerOptions: {
      lvsa: { numInferenceSteps: 3, guidanceScale: 2.5, lvsa: true, negativePrompt: "rain" },
    },
  });
  expect(video.uint8Array).toEqual(BYTES);
  expect(video.mediaType).toBe("video/mp4");
  expect(warnings).toMatchObject([{ type: "unsupported", feature: "generateAudio" }]);
  expect(jobs.at(-1)?.request).toEqual({
    ...{ model: "tiny", prompt: "A cat", negativePrompt: "rain", width: 48, height: 32, numFrames: 9 },
    ...{ numInferenceSteps: 3, guidanceScale: 2.5, seed: "42", lvsa: true },
  });
  expect(providerMetadata.lvsa).toMatchObject({ videos: [{ seconds: 1.125, size: "48x32" }] });
});

it("says what went wrong in the server's words", async () => {
  const ask = (prompt: string, apiKey?: string, providerOptions = {}) =>
    generateVideo({ model: model(apiKey), prompt, maxRetries: 0, providerOptions });
  await expect(ask("fail")).rejects.toThrow("step 3 is not finite");
  await expect(ask("x", "wrong")).rejects.toMatchObject({ statusCode: 401 });
  await expect(ask("x", "secret", { lvsa: { numFrames: 10 } })).rejects.toThrow("10 frames do not fit");
  await expect(ask("x", "secret", { lvsa: { colour: "red" } })).rejects.toThrow("colour");
});

it("tells the server when nobody waits any more", async () => {
  const abort = new AbortController();
  const asked = generateVideo({ model: model(), prompt: "wait", abortSignal: abort.signal, maxRetries: 0 });
  while (jobs.at(-1)?.request.prompt !== "wait") await new Promise((resolve) => setTimeout(resolve, 10));
  abort.abort();
  await expect(asked).rejects.toThrow();
  const { id } = jobs.at(-1)!;
  for (let i = 0; i < 100 && !stopped.includes(id); i++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(stopped).toContain(id);
});
