/** `lvsa serve` as an operator meets it: a real model behind it, and a server that is killed in the middle of a video. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readVideo } from "@lvsa/video/node";
import { afterAll, expect, test } from "vitest";
import { DEVICE, MAIN, runCli } from "./testing/run-cli.js";

const folder = await mkdtemp(join(tmpdir(), "lvsa-serve-"));
const running = new Set<ChildProcess>();
afterAll(async () => {
  for (const child of running) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

/** What one device makes to the same bits, and what a video that goes on has without being told. */
const RANKS = ["--cfg-parallel-size", "2", "--preview"];

async function start(): Promise<{ child: ChildProcess; url: string; words: () => string }> {
  const args = [MAIN, "serve", "--port", "0", "--workspace", join(folder, "jobs"), ...DEVICE, ...RANKS];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let words = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => {
    words += text;
  });
  const first = once(createInterface({ input: child.stdout! }), "line");
  const [url] = await Promise.race([
    first,
    once(child, "exit").then(() => Promise.reject(new Error(`the server ended: ${words}`))),
  ]);
  return { child, url: String(url), words: () => words };
}

interface Video {
  readonly id: string;
  readonly status: string;
  readonly progress: number;
  readonly error: unknown;
  readonly preview_url: string | null;
}

test("a killed server's video goes on in the next, to the same bytes", async () => {
  const body = {
    prompt: "A cat",
    size: "48x32",
    num_frames: 9,
    num_inference_steps: 30,
    seed: 7,
    lvsa: true,
  };
  const ask = async (url: string, path = "", init: RequestInit = {}): Promise<Video> => {
    const answer = await fetch(`${url}/v1/videos${path}`, init);
    expect(answer.status).toBe(200);
    return (await answer.json()) as Video;
  };
  let server = await start();
  const { id } = await ask(server.url, "", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  let video = await ask(server.url, `/${id}`);
  const jobFolder = join(folder, "jobs", id);
  const kept = async () => (await readdir(jobFolder)).some((name) => name.endsWith(".state.safetensors"));
  while (video.status !== "completed" && video.status !== "failed" && !(await kept())) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    video = await ask(server.url, `/${id}`);
  }
  expect(video).toMatchObject({ status: "in_progress", error: null });
  const hasPreview = async () => {
    video = await ask(server.url, `/${id}`);
    return video.preview_url;
  };
  await expect.poll(hasPreview).toMatch(/preview\?at=/);
  const preview = await fetch(server.url + video.preview_url);
  expect(Buffer.from(await preview.arrayBuffer()).subarray(0, 4)).toEqual(Buffer.from("\x89PNG", "latin1"));
  server.child.kill("SIGKILL");
  await once(server.child, "exit");

  server = await start();
  while (video.status !== "completed" && video.status !== "failed") {
    await new Promise((resolve) => setTimeout(resolve, 100));
    video = await ask(server.url, `/${id}`);
  }
  expect(video).toMatchObject({ status: "completed", error: null });
  const settings = JSON.parse(await readFile(join(jobFolder, "video.mp4.json"), "utf8"));
  expect(JSON.stringify(settings)).toContain('"seed":7');
  expect(JSON.stringify(settings)).toContain('"cfg_parallel_size":2');

  const whole = join(folder, "whole.mp4");
  const args = [
    "generate",
    ...DEVICE,
    "--prompt",
    "A cat",
    "--width",
    "48",
    "--height",
    "32",
    "--num-frames",
    "9",
  ];
  const { code, stderr } = await runCli([
    ...args,
    "--steps",
    "30",
    "--seed",
    "7",
    "--lvsa",
    "--output",
    whole,
  ]);
  expect(stderr + code).toMatch(/0$/);
  const frames = async (path: string) => {
    const video = await readVideo(path);
    return Buffer.concat(Array.from({ length: video.count }, (_, i) => video.get(i)));
  };
  expect((await frames(join(jobFolder, "video.mp4"))).equals(await frames(whole))).toBe(true);
  server.child.kill("SIGTERM");
  await once(server.child, "exit");
  expect(server.words()).toContain("shutting down");
});
