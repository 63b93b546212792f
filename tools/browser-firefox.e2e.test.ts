/** The page in Firefox: what it says where WebGPU is switched off, and the clip that it makes where it is on. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Engine } from "@lvsa/diffusion";
import { createDevice, nodeFolder } from "@lvsa/diffusion/node";
import { relativeL2 } from "@lvsa/runtime/testing";
import type { Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firefoxPath, startFirefox } from "./browser/firefox.js";
import { type Served, serveFolder } from "./browser/serve.js";
import { builtPage, type HeardClip } from "./browser/tested-page.js";

const clip = { numFrames: 9, height: 32, width: 48, seed: 7 };
const prompt = "a red boat";

it("has Firefox and the built page to test with", ({ skip }) => {
  expect(existsSync(builtPage), "the page is built by `turbo run build`").toBe(true);
  if (!firefoxPath) skip("the page is not tried in Firefox: install firefox-esr, or name it in LVSA_FIREFOX");
});

describe.skipIf(!firefoxPath)("the page in Firefox", () => {
  let served: Served;
  beforeAll(async () => {
    served = await serveFolder(builtPage);
  });
  afterAll(() => served?.close());

  const text = (page: Page, id: string) =>
    page.evaluate((id) => document.getElementById(id)?.textContent ?? "", id);

  it("says how WebGPU is switched on", async () => {
    const browser = await startFirefox(false);
    try {
      const page = await browser.newPage();
      await page.goto(served.address);
      await expect
        .poll(() => text(page, "problem"), { timeout: 20_000 })
        .toMatch(/no WebGPU.*dom\.webgpu\.enabled/);
      expect(await page.$eval("#demo", (button) => (button as HTMLButtonElement).disabled)).toBe(true);
    } finally {
      await browser.close();
    }
  });

  it("makes the clip that Node makes", async ({ skip }) => {
    const browser = await startFirefox(true);
    try {
      const page = await browser.newPage();
      const wrong: string[] = [];
      page.on("pageerror", (error) => wrong.push(String(error)));
      await page.goto(served.address);
      const adapter = await page.evaluate(async () => (await navigator.gpu?.requestAdapter()) !== null);
      if (!adapter) skip("Firefox finds no GPU here: install a Vulkan driver (mesa-vulkan-drivers)");
      await page.evaluate(() => {
        document.addEventListener("lvsa-clip", (event) => {
          const { blob, latents, settings, notes } = (event as CustomEvent).detail;
          globalThis.clips = [
            { latents: [...latents.data], type: blob.type, bytes: blob.size, settings, notes },
          ];
        });
        (document.querySelector("#demo") as HTMLButtonElement).click();
      });
      await page.waitForFunction(
        () =>
          !(document.querySelector("#form") as HTMLElement).hidden ||
          document.querySelector("#problem strong"),
        { timeout: 60_000 },
      );
      expect(await text(page, "problem")).toBe("");
      await page.evaluate(
        (fields) => {
          for (const [id, value] of Object.entries(fields))
            (document.getElementById(id) as HTMLInputElement).value = String(value);
          (document.getElementById("lvsa") as HTMLInputElement).checked = false;
          (document.querySelector("#form") as HTMLFormElement).requestSubmit();
        },
        {
          prompt,
          ...{ width: clip.width, height: clip.height },
          ...{ seed: clip.seed, length: (clip.numFrames - 1) / 4 },
        },
      );
      await page.waitForFunction(
        () => globalThis.clips?.length > 0 || document.querySelector("#problem strong"),
        { timeout: 120_000 },
      );
      expect(await text(page, "problem")).toBe("");
      const [made] = (await page.evaluate(() => globalThis.clips)) as HeardClip[];
      const device = await createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto" });
      const folder = nodeFolder(join(builtPage, "model"));
      const engine = await Engine.open(folder, { device, fewSteps: true, registered: false });
      const { latents } = await engine.generate({ prompt, ...clip });
      engine.dispose();
      device.dispose();
      // Another compiler of shaders on another driver; 1.3e-6 was seen.
      expect(relativeL2(Float32Array.from(made!.latents), latents.data)).toBeLessThan(1e-4);
      expect(made).toMatchObject({ settings: { prompt, seed: clip.seed } });
      expect(made!.bytes).toBeGreaterThan(500);
      expect(wrong).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
