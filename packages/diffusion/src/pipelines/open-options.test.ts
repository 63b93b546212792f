import { countingGpu, type FolderReader, memoryFolder } from "@lvsa/runtime";
import { describe, expect, it } from "vitest";
import { Engine, type EngineOptions } from "../engine/engine.js";
import { tinyWanFiles } from "../testing-support/tiny-wan-files.js";
import { parseDecodeOptions } from "./generate-options.js";
import { WanPipeline } from "./wan/pipeline-wan.js";

const folder = tinyWanFiles().folder({ "tokenizer.json": "{}" });
const { device } = countingGpu();

describe("what a checkpoint is opened with", () => {
  it.each([undefined, null, "./checkpoint", 5, {}, { exists: true }])("is no folder: %j", async (given) => {
    const path = given as unknown as FolderReader;
    const expected = {
      code: "BAD_OPTION",
      isUsage: true,
      message: expect.stringContaining("no folder"),
      fix: expect.stringContaining("nodeFolder(path)"),
    };
    await expect(Engine.open(path, { device })).rejects.toMatchObject(expected);
    await expect(WanPipeline.fromPretrained(path, { device })).rejects.toMatchObject(expected);
  });

  it.each<[Record<string, unknown> | undefined, string]>([
    [undefined, "options: "],
    [{}, "device: expected a device of `createDevice`"],
    [{ device: 5 }, "device: "],
    [{ device, precision: "f64" }, "precision: expected auto, f32 or f16"],
    [{ device, keepLoaded: "yes" }, "keepLoaded: expected true or false"],
    [{ device, offload: true }, "offload: "],
    [{ device, offload: { cacheByte: 1 } }, "unknown option offload.cacheByte"],
    [{ device, offload: { cacheBytes: -1 } }, "offload.cacheBytes: expected a number of bytes"],
    [{ device, vaeTiling: 256 }, "vaeTiling: expected true, false or sizes"],
    [{ device, loras: [{}] }, "loras.0.file: expected an opened file"],
    [{ device, loras: [{ file: "lora.safetensors" }] }, "loras.0.file: "],
    [{ device, loras: [{ file: { read() {}, close() {} }, weight: "1" }] }, "loras.0.weight: "],
    [{ device, keep_loaded: true }, "unknown option keep_loaded"],
  ])("is refused by name: case %#", async (options, message) => {
    const expected = { code: "BAD_OPTION", isUsage: true, message: expect.stringContaining(message) };
    const given = options as unknown as EngineOptions;
    await expect(Engine.open(folder, given)).rejects.toMatchObject(expected);
    await expect(WanPipeline.fromPretrained(folder, given as never)).rejects.toMatchObject(expected);
  });

  it.each<[Record<string, unknown>, string]>([
    [{ plugins: [5] }, "plugins.0: "],
    [{ attention: { per_role: { self: "LVSA" } } }, "unknown option attention.per_role"],
    [{ log: "stderr" }, "log: expected a function"],
    [{ importPlugin: "x" }, "importPlugin: expected a function"],
  ])("is refused by name, of an engine: %j", async (options, message) => {
    await expect(Engine.open(folder, { device, ...options } as EngineOptions)).rejects.toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringContaining(message),
    });
  });

  it("is refused with the files of LoRAs closed: they are the engine's from the call on", async () => {
    let closed = 0;
    const file = { read() {}, close: async () => void closed++ };
    const options = { device, precision: "f64", loras: [{ file }, { file }] };
    await expect(Engine.open(folder, options as unknown as EngineOptions)).rejects.toMatchObject({
      code: "BAD_OPTION",
    });
    expect(closed).toBe(2);
  });

  it("must list an autoencoder: what is not listed is not looked at before the last step", async () => {
    const index = JSON.parse(await folder.readText("model_index.json")) as Record<string, unknown>;
    for (const vae of [undefined, [null, null]]) {
      const text = JSON.stringify({ ...index, vae });
      const one = memoryFolder({ "model_index.json": text });
      await expect(Engine.open(one, { device, registered: false })).rejects.toMatchObject({
        code: "MISSING_COMPONENT",
        where: "memory/model_index.json",
      });
    }
  });
});

describe("parseDecodeOptions", () => {
  const latents = { data: new Float32Array(2), shape: [1, 2] };

  it("takes latents and a clip, and nothing else", () => {
    expect(parseDecodeOptions({ latents, numFrames: 5, height: undefined })).toEqual({
      latents,
      numFrames: 5,
    });
    for (const [options, message] of [
      [undefined, "options: "],
      [{}, "latents: expected { data: Float32Array, shape }"],
      [{ latents: 5 }, "latents: "],
      [{ latents: { data: new Float32Array(3), shape: [1, 2] } }, "latents: "],
      [{ latents, prompt: "a cat" }, "unknown option prompt"],
      [{ latents, fps: 0 }, "fps: expected a number above 0"],
    ] as const) {
      expect(() => parseDecodeOptions(options)).toThrow(
        expect.objectContaining({ code: "BAD_OPTION", message: expect.stringContaining(message) }),
      );
    }
  });
});
