/** The page with what people have on their disks: dropped and picked as they do it, told by content, refused in words. */
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Engine, openCheckpoint } from "@lvsa/diffusion";
import { createDevice, fileSource, nodeFile, nodeFolder } from "@lvsa/diffusion/node";
import { relativeL2 } from "@lvsa/runtime/testing";
import type { Browser, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tinyWanFiles } from "../packages/diffusion/src/testing-support/tiny-wan-files.js";
import { chromiumPath, startChromium } from "./browser/chromium.js";
import { type Served, serveFolder } from "./browser/serve.js";
import { builtPage, TestedPage } from "./browser/tested-page.js";

const clip = {
  ...{ prompt: "a cat", numFrames: 5, height: 16, width: 32, numInferenceSteps: 2, guidanceScale: 1 },
  seed: 7,
};

/** For the demo model. */
const small = { ...clip, width: 48, height: 32 };

it("has Chromium to test with", ({ skip }) => {
  if (!chromiumPath) skip("nothing is dropped on the page: install chromium, or name it in LVSA_CHROMIUM");
});

describe.skipIf(!chromiumPath)("files and folders on the page", () => {
  let folder: string;
  let served: Served;
  let browser: Browser;
  let tested: TestedPage;
  let page: Page;
  let protocol: CDPSession;
  const path = (name: string) => join(folder, name);

  /** As the system's file manager does: paths of files and folders, over the page and let go. */
  const drop = async (...files: string[]) => {
    // One model after the other.
    await page.waitForSelector("#demo:not([disabled])");
    await over(...files);
  };
  const over = async (...files: string[]) => {
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"] as const)
      await protocol.send("Input.dispatchDragEvent", { type, x: 300, y: 200, data });
  };
  const says = (text: RegExp) =>
    expect.poll(() => page.textContent("#model-text"), { timeout: 30_000 }).toMatch(text);
  const refuses = (text: RegExp) =>
    expect.poll(() => page.textContent("#problem"), { timeout: 30_000 }).toMatch(text);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lvsa-files-"));
    const files = tinyWanFiles();
    writeFileSync(path("wan.safetensors"), files.transformer);
    writeFileSync(path("umt5.gguf"), files.textEncoder);
    writeFileSync(path("vae.safetensors"), files.vae);
    writeFileSync(path("notes.txt"), "nothing");
    // The head of a file of torch.save.
    writeFileSync(path("wan.pth"), Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0));
    for (const name of ["style.safetensors", "motion.safetensors"])
      copyFileSync(join(builtPage, "model/few-steps.safetensors"), path(name));
    const tensor = { dtype: "F32", shape: [0, 0], data_offsets: [0, 0] };
    const names = ["A", "B"].map((side) => `transformer.nowhere.lora_${side}.weight`);
    const header = JSON.stringify(Object.fromEntries(names.map((name) => [name, tensor])));
    const length = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
    writeFileSync(path("other.safetensors"), Buffer.concat([length, Buffer.from(header)]));
    served = await serveFolder(builtPage);
    browser = await startChromium();
    tested = await TestedPage.open(browser);
    page = tested.page;
    protocol = await tested.context.newCDPSession(page);
    await page.goto(served.address);
  });
  afterAll(async () => {
    await browser?.close();
    served?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("makes a clip from single files that were dropped together, as Node does", async () => {
    await drop(path("wan.safetensors"), path("umt5.gguf"), path("vae.safetensors"));
    await says(/^wan\.safetensors and 2 more \(WanPipeline\)/);
    await tested.fill(clip);
    const { latents } = await tested.made();
    const device = await createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto" });
    const opened = await openCheckpoint({
      files: ["wan.safetensors", "umt5.gguf", "vae.safetensors"].map((name) => nodeFile(path(name))),
    });
    const engine = await Engine.open(opened, { device, registered: false });
    const expected = await engine.generate(clip);
    engine.dispose();
    device.dispose();
    // Two drivers round differently; 1.4e-6 was seen between SwiftShader and lavapipe.
    expect(relativeL2(Float32Array.from(latents), expected.latents.data)).toBeLessThan(1e-4);
    expect(served.requests).toEqual([]);
  });

  it("names what is missing, and what can not be read", async () => {
    await drop(path("wan.safetensors"));
    await refuses(
      /also needs the autoencoder, the text encoder and the tokenizer.*Give these files together/s,
    );
    await drop(path("notes.txt"));
    await refuses(/no model_index\.json and no file of weights in the file notes\.txt.*GGUF/s);
    await drop(path("wan.pth"), path("umt5.gguf"));
    await refuses(/wan\.pth/);
    await tested.look("refused-files");
  });

  it("opens a checkpoint's folder that was dropped, and looks at what was dropped beside it", async () => {
    await drop(join(builtPage, "model"));
    await says(/^model \(WanPipeline\)/);
    expect(await page.isHidden("#problem")).toBe(true);
    // What lies beside the folder is looked at.
    await drop(join(builtPage, "model"), path("notes.txt"));
    await refuses(/notes\.txt/);
    expect(served.requests).toEqual([]);
  });

  it("adds LoRAs that are dropped, with their weights, and refuses those that have no place", async () => {
    await drop(path("style.safetensors"));
    await refuses(/^A LoRA changes a model, and none is open\..*drop both together/);
    await drop(join(builtPage, "model"), path("style.safetensors"));
    await page.waitForSelector("#lora-list li");
    // The student is a LoRA itself.
    expect(await page.inputValue("#sampling")).toBe("");
    await drop(path("motion.safetensors"), path("other.safetensors"));
    await refuses(/nowhere.*other\.safetensors/s);
    expect(await page.isDisabled("#generate")).toBe(true);
    await tested.look("refused-lora");
    await page.click('[aria-label="Remove the LoRA other.safetensors"]');
    expect(await tested.planned()).toMatch(/Memory: \d+ MB/);
    expect(await page.isHidden("#problem")).toBe(true);
    expect(await page.textContent("#lora-list")).toMatch(/style\.safetensors.*motion\.safetensors/);
    const weights = page.locator("#lora-list input");
    await weights.nth(0).fill("0.75");
    await weights.nth(1).fill("-0.5");
    await page.uncheck("#lvsa");
    await tested.fill(small);
    await tested.look("loras");
    const { latents, settings } = await tested.made();
    const used = "style.safetensors:0.75 (transformer); motion.safetensors:-0.5 (transformer)";
    expect(settings).toMatchObject({ loras: used, preset: null });
    expect(await page.textContent("#results dl")).toContain(used);
    const device = await createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto" });
    const loras = await Promise.all(
      (
        [
          ["style", 0.75],
          ["motion", -0.5],
        ] as const
      ).map(async ([name, weight]) => ({
        file: await fileSource(path(`${name}.safetensors`)),
        weight,
      })),
    );
    const options = { device, loras, registered: false };
    const engine = await Engine.open(nodeFolder(join(builtPage, "model")), options);
    const expected = (await engine.generate(small)).latents.data;
    engine.dispose();
    device.dispose();
    expect(relativeL2(Float32Array.from(latents), expected)).toBeLessThan(1e-4);
    // Without them it is another clip.
    for (const name of ["style", "motion"])
      await page.click(`[aria-label="Remove the LoRA ${name}.safetensors"]`);
    const plain = await tested.made();
    expect(plain.settings).toMatchObject({ loras: null });
    expect(relativeL2(Float32Array.from(plain.latents), expected)).toBeGreaterThan(1e-3);
  });

  it("takes picked files, too, and refuses another model while a clip is made", async () => {
    await page.setInputFiles("#files", ["wan.safetensors", "umt5.gguf", "vae.safetensors"].map(path));
    await says(/^wan\.safetensors and 2 more/);
    await tested.fill({ ...clip, numInferenceSteps: 20 });
    const clips = tested.made(async () => {
      await page.click("#generate");
      await page.waitForSelector("#progress:not([hidden])");
      await over(join(builtPage, "model"));
      await refuses(/a clip is being made.*cancel/is);
    });
    expect((await clips).settings).toMatchObject({ num_inference_steps: 20 });
  });

  it("wrote no error to the console", () => {
    expect(tested.wrong).toEqual([]);
  });
});
