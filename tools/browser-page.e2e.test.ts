/** The page in a browser, from the first visit to the finished clip: by keyboard alone, cut off, offline. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DEMO_CLIP } from "@lvsa/demo-wan";
import { Engine } from "@lvsa/diffusion";
import { createDevice, nodeFolder } from "@lvsa/diffusion/node";
import { relativeL2 } from "@lvsa/runtime/testing";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumPath, startChromium } from "./browser/chromium.js";
import { type Served, serveFolder } from "./browser/serve.js";
import { builtPage, TestedPage } from "./browser/tested-page.js";

const TRANSFORMER = "/model/transformer/diffusion_pytorch_model.safetensors";
const clip = { numFrames: 9, height: 32, width: 48, seed: 7 };
const prompt = "a red boat";

it("has Chromium and the built page to test with", ({ skip }) => {
  expect(existsSync(builtPage), "the page is built by `turbo run build`").toBe(true);
  if (!chromiumPath)
    skip("the page is not tried in a browser: install chromium, or name it in LVSA_CHROMIUM");
});

/** Number of files that hold runs; in the page. */
async function filesKept(): Promise<number> {
  const root = await navigator.storage.getDirectory();
  const runs = await root.getDirectoryHandle("lvsa").then((ours) => ours.getDirectoryHandle("runs"));
  let count = 0;
  for await (const _ of runs.keys()) count++;
  return count;
}

describe.skipIf(!chromiumPath)("the page in Chromium", () => {
  let served: Served;
  let browser: Browser;
  let tested: TestedPage;
  let page: Page;

  /** By the Tab key, as somebody without a mouse would. */
  const tabTo = async (id: string) => {
    for (let presses = 0; presses < 60; presses++) {
      if (await page.evaluate((wanted) => document.activeElement?.id === wanted, id)) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`#${id} is not reached by Tab`);
  };
  const fill = async (id: string, text: string) => {
    await tabTo(id);
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type(text);
  };
  const look = (name: string) => tested.look(name);

  beforeAll(async () => {
    served = await serveFolder(builtPage);
    browser = await startChromium();
    tested = await TestedPage.open(browser);
    page = tested.page;
  });
  afterAll(async () => {
    await browser?.close();
    served?.close();
  });

  it("says what is missing in a browser without WebGPU", async () => {
    const tab = await tested.context.newPage();
    tested.listen(tab);
    await tab.addInitScript(() => Object.defineProperty(navigator, "gpu", { value: undefined }));
    await tab.goto(served.address);
    await expect.poll(() => tab.textContent("#problem")).toMatch(/no WebGPU.*Chrome/);
    expect(await tab.isDisabled("#demo")).toBe(true);
    await tested.look("no-webgpu-light", tab);
    await tab.close();
  });

  it("goes on with a download that was cut off", async () => {
    served.stallAt = TRANSFORMER;
    await page.goto(served.address);
    await look("start-light");
    await tabTo("demo");
    await page.keyboard.press("Enter");
    // Everything else and half of the transformer, which is told when it is written.
    const bytes = (paths: readonly string[]) => paths.reduce((sum, path) => sum + statSync(path).size, 0);
    const files = readdirSync(join(builtPage, "model"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== "files.json")
      .map(({ parentPath, name }) => join(parentPath, name));
    const stalled = Math.round((bytes(files) - bytes([join(builtPage, TRANSFORMER)]) / 2) / 1e6);
    await page.waitForFunction(
      (text) => document.querySelector("#model-text")?.textContent?.startsWith(text),
      `Loading the model: ${stalled} MB of`,
      { timeout: 20_000 },
    );
    served.stallAt = undefined;
    const before = served.requests.length;
    await page.reload();
    await tabTo("demo");
    await page.keyboard.press("Enter");
    await tested.opened();
    const after = served.requests.slice(before);
    expect(after.find(({ path }) => path === TRANSFORMER)!.from).toBeGreaterThan(100_000);
    // What was whole is not fetched again.
    expect(after.length).toBeLessThan(before);
  });

  it("makes a clip by keyboard alone, with the latents that Node makes", async () => {
    // The clip that the command line makes where nothing is said.
    expect(await page.inputValue("#prompt")).toBe(DEMO_CLIP.prompt);
    expect(await page.textContent("#length-text")).toContain(`${DEMO_CLIP.numFrames} frames`);
    expect(await page.isChecked("#lvsa")).toBe(true);
    await fill("prompt", prompt);
    await tabTo("length");
    await page.keyboard.press("Home");
    for (let k = 0; k < (clip.numFrames - 1) / 4; k++) await page.keyboard.press("ArrowRight");
    expect(await page.textContent("#length-text")).toContain(`${clip.numFrames} frames`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("lvsa");
    await tested.planned();
    await look("form-light");
    await page.keyboard.press("Space");
    await page.evaluate(() => document.querySelector("summary")?.setAttribute("id", "summary"));
    await tabTo("summary");
    await page.keyboard.press("Enter");
    const sampling = ["#sampling", "#steps", "#guidance"].map((id) => page.inputValue(id));
    expect(await Promise.all(sampling)).toEqual(["demo-wan-4step", "4", "1"]);
    await fill("width", String(clip.width));
    await fill("height", String(clip.height));
    await fill("seed", String(clip.seed));
    expect(await tested.planned()).toMatch(/Memory: \d+ MB/);
    await page.keyboard.press("Enter");
    await page.waitForSelector("#results article", { timeout: 120_000 });
    const [made] = await tested.clips();
    const student = {
      ...{ preset: "demo-wan-4step", num_inference_steps: 4, guidance_scale: 1 },
      loras: "few-steps.safetensors:1 (transformer)",
    };
    expect(made).toMatchObject({ settings: { prompt, seed: clip.seed, lvsa: null, ...student } });
    expect(made!.bytes).toBeGreaterThan(500);
    const device = await createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto" });
    const folder = nodeFolder(join(builtPage, "model"));
    const engine = await Engine.open(folder, { device, fewSteps: true, registered: false });
    const { latents } = await engine.generate({ prompt, ...clip });
    engine.dispose();
    device.dispose();
    // Two drivers round differently; 1.4e-6 was seen between SwiftShader and lavapipe.
    expect(relativeL2(Float32Array.from(made!.latents), latents.data)).toBeLessThan(1e-4);
    expect(await page.getAttribute("#results a", "download")).toMatch(/^a-red-boat-7\.(mp4|webm|png)$/);
    if (made!.type.startsWith("video/")) {
      const player = "document.querySelector('#results video')";
      await expect.poll(() => page.evaluate(`${player}.readyState`)).toBeGreaterThanOrEqual(2);
      expect(await page.evaluate(`[${player}.videoWidth, ${player}.videoHeight]`)).toEqual([48, 32]);
    }
  });

  it("refuses before the start what does not fit, and offers what does", async () => {
    const frames = async () => Number(/(\d+) frames/.exec((await page.textContent("#length-text"))!)![1]);
    await page.fill("#length", "16");
    await page.fill("#width", "128");
    await page.fill("#height", "128");
    await page.fill("#memory", "0.02");
    // Frames are decoded a few at a time: their size alone is too much.
    expect(await tested.planned()).toMatch(/there are 20 MB.*make it smaller/);
    await page.fill("#length", "24");
    await page.fill("#width", "64");
    await page.fill("#height", "64");
    await page.fill("#memory", "");
    const [, all] = /Memory: (\d+) MB/.exec(await tested.planned())!;
    await page.fill("#memory", String((Number(all) - 1) / 1000));
    expect(await tested.planned()).toMatch(/needs \d+ MB of memory .* would fit/);
    expect(await page.isDisabled("#generate")).toBe(true);
    await tested.look("refused-light");
    const shorter = page.locator("#estimate button");
    expect(await shorter.textContent()).toMatch(/^\d+ frames would fit \(\d+ MB\)/);
    const offered = Number(/^\d+/.exec((await shorter.textContent())!)![0]);
    await shorter.click();
    expect(await tested.planned()).toMatch(/Memory: \d+ MB/);
    expect(await frames()).toBe(offered);
    expect(await page.isEnabled("#generate")).toBe(true);
    for (const [id, value] of Object.entries({ width: clip.width, height: clip.height, memory: "" }))
      await page.fill(`#${id}`, String(value));
    await page.fill("#length", String((clip.numFrames - 1) / 4));
    expect(await tested.planned()).toMatch(/Memory: \d+ MB/);
  });

  it("makes the sparse and the dense clip side by side, and goes on after the end of its worker", async () => {
    await page.check("#lvsa");
    await page.waitForSelector("#mask svg");
    await page.focus("#length");
    for (let k = 0; k < 6; k++) await page.keyboard.press("ArrowRight");
    await page.check("#compare");
    await page.click("#generate");
    await page.waitForSelector("#preview:not([hidden])", { timeout: 60_000 });
    await look("running-light");
    await expect.poll(() => page.evaluate("globalThis.clips.length"), { timeout: 120_000 }).toBe(3);
    const [, sparse, dense] = await tested.clips();
    expect(sparse!.settings.lvsa).toMatchObject({ latent_frames: 9 });
    expect(dense!.settings).toMatchObject({ lvsa: null, seed: clip.seed });
    const apart = relativeL2(Float32Array.from(sparse!.latents), Float32Array.from(dense!.latents));
    expect(apart).toBeGreaterThan(1e-3);
    await look("results-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await look("results-dark");
    await page.setViewportSize({ width: 390, height: 780 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(390);
    await look("results-phone");

    await page.uncheck("#compare");
    await page.selectOption("#sampling", "");
    expect(await page.inputValue("#steps")).toBe("20");
    await page.fill("#steps", "40");
    await page.fill("#guidance", "1");
    await page.click("#generate");
    // The state after some step is kept.
    await expect.poll(() => page.evaluate(filesKept), { timeout: 60_000 }).toBeGreaterThan(0);
    await page.click("#pause");
    await page.waitForFunction(() =>
      document.querySelector("#progress-text")?.textContent?.endsWith(". Paused."),
    );
    await page.workers()[0]!.evaluate("self.close()");
    await expect.poll(() => page.textContent("#problem"), { timeout: 30_000 }).toMatch(/worker is gone/);
    await expect.poll(() => page.textContent("#kept-run-text")).toMatch(/"a red boat", \d+ of 40 steps/);
    await look("worker-gone-phone");
    await page.click("#go-on");
    await expect.poll(() => page.evaluate("globalThis.clips.length"), { timeout: 120_000 }).toBe(4);
    expect(page.workers()).toHaveLength(1);
    const resumed = (await tested.clips())[3]!;
    expect(resumed.settings).toMatchObject({ num_inference_steps: 40, seed: clip.seed, loras: null });
    expect(await page.isHidden("#kept-run")).toBe(true);
    expect(await page.evaluate(filesKept)).toBe(0);
  });

  it("opens without a network, with the model that it kept", async () => {
    await tested.context.setOffline(true);
    await page.reload();
    await page.click("#demo");
    await tested.opened();
    expect(await page.textContent("#store-list")).toMatch(/Demo model \(\d/);
    await tested.context.setOffline(false);
  });

  it("opens a folder from the disk, without copying it", async () => {
    await page.waitForSelector("#pick:not([disabled])");
    const before = served.requests.length;
    await page.setInputFiles("#folder", join(builtPage, "model"));
    await expect
      .poll(() => page.textContent("#model-text"), { timeout: 60_000 })
      .toMatch(/^model \(WanPipeline\)/);
    expect(await tested.planned()).toMatch(/Memory: \d+ MB/);
    expect(served.requests.length).toBe(before);
  });

  it("wrote no error to the console", () => {
    expect(tested.wrong).toEqual([]);
  });
});
