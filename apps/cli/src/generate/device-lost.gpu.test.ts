/** A GPU that goes away in the middle of a run: a named error, the state as it was, and a run that goes on with it. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { runProgram } from "../program.js";
import { DEVICE } from "../testing/run-cli.js";

const TINY = fileURLToPath(new URL("../../../../fixtures/tiny-wan", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "lvsa-lost-"));
afterAll(() => rm(folder, { recursive: true }));

/** The devices that the program opens. */
const { globals } = createRequire(
  new URL("../../../../packages/runtime/src/node/create-device.ts", import.meta.url),
)("webgpu") as { globals: { GPUAdapter: { prototype: GPUAdapter } } };
const opened: GPUDevice[] = [];
const { requestDevice } = globals.GPUAdapter.prototype;
globals.GPUAdapter.prototype.requestDevice = async function (this: GPUAdapter, descriptor) {
  const device = await requestDevice.call(this, descriptor);
  opened.push(device);
  return device;
};

async function run(args: readonly string[], onEvent: (event: Record<string, unknown>) => void = () => {}) {
  const events: Record<string, unknown>[] = [];
  let err = "";
  const io = {
    out: (text: string) => {
      for (const line of text.split("\n").filter((line) => line.startsWith("{"))) {
        const event = JSON.parse(line) as Record<string, unknown>;
        events.push(event);
        onEvent(event);
      }
    },
    err: (text: string) => {
      err += text;
    },
    redraw: () => {},
    isTerminal: false,
    env: {},
  };
  return { code: await runProgram([...args, "--json"], io), events, err };
}

const RUN = [
  ...["generate", ...DEVICE, "--model", TINY, "--prompt", "a fox", "--seed", "5", "--steps", "4"],
  ...["--num-frames", "9", "--height", "32", "--width", "48", "--max-sequence-length", "16"],
];
const saved = (name: string) => ["--output-latent", join(folder, name)];

it("ends the run by name, keeps what it had, and the run goes on to the same latents", async () => {
  expect((await run([...RUN, ...saved("whole.safetensors")])).code).toBe(0);
  const broken = await run([...RUN, ...saved("lost.safetensors")], (event) => {
    if (event.event === "step" && event.step === 2) opened.at(-1)!.destroy();
  });
  const error = broken.events.find(({ event }) => event === "error");
  expect(error).toMatchObject({ code: "DEVICE_LOST", fix: expect.stringContaining("Run again") });
  expect(broken.code).toBe(1);
  const kept = broken.events.find(({ event }) => event === "kept") as { path: string };
  expect(kept, broken.err).toBeDefined();
  const resumed = await run(["resume", kept.path]);
  expect(resumed.code, JSON.stringify(resumed.events.at(-1))).toBe(0);
  // Headers name the files; what follows them is the latents.
  const tail = async (name: string) => (await readFile(join(folder, name))).subarray(-16 * 3 * 4 * 6 * 4);
  expect((await tail("lost.safetensors")).equals(await tail("whole.safetensors"))).toBe(true);
  expect((await readdir(folder)).filter((file) => file.includes(".state."))).toEqual([]);
});
