/** A clip goes on while its tab is hidden: nothing of it waits for the screen, or for timers that browsers slow down. */
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumFlags, chromiumPath } from "./browser/chromium.js";
import { type Served, serveFolder } from "./browser/serve.js";
import { builtPage } from "./browser/tested-page.js";

it("has Chromium to hide a tab in", ({ skip }) => {
  if (!chromiumPath) skip("no tab is hidden: install chromium, or name it in LVSA_CHROMIUM");
});

describe.skipIf(!chromiumPath)("a hidden tab", () => {
  let served: Served;
  let browser: Browser;
  let page: Page;

  const text = (id: string) => page.$eval(`#${id}`, (element) => element.textContent ?? "");
  const visibility = () => page.evaluate(() => document.visibilityState);
  /** Frames that the browser draws of the page in half a second. */
  const drawn = () =>
    page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          let count = 0;
          const next = () => {
            count++;
            requestAnimationFrame(next);
          };
          requestAnimationFrame(next);
          setTimeout(() => resolve(count), 500);
        }),
    );
  /** Begins a clip of so many steps and waits until two of them are done. */
  const begin = async (steps: number) => {
    await page.evaluate((steps) => {
      const values = { width: 48, height: 32, steps, guidance: 1, seed: 7, length: 2, sampling: "" };
      for (const [id, value] of Object.entries(values))
        (document.getElementById(id) as HTMLInputElement).value = String(value);
      (document.querySelector("#form") as HTMLFormElement).requestSubmit();
    }, steps);
    await page.waitForFunction(
      () => /Step ([2-9]|\d\d) of/.test(document.getElementById("progress-text")?.textContent ?? ""),
      { polling: 50, timeout: 120_000 },
    );
  };
  /** Not by animation frames, which there are none of. */
  const finished = (count: number) =>
    page.waitForFunction(
      (count) =>
        document.querySelectorAll("#results article").length === count ||
        !(document.getElementById("problem") as HTMLElement).hidden,
      { polling: 100, timeout: 120_000 },
      count,
    );

  beforeAll(async () => {
    served = await serveFolder(builtPage);
    // Playwright keeps all of its pages visible; here they are as people have them.
    browser = await puppeteer.launch({
      executablePath: chromiumPath!,
      headless: true,
      args: [...chromiumFlags],
    });
    page = (await browser.pages())[0]!;
    await page.goto(served.address);
    await page.click("#demo");
    await page.waitForSelector('#estimate[aria-busy="false"]', { timeout: 60_000 });
  });
  afterAll(async () => {
    await browser?.close();
    served?.close();
  });

  it("makes its clip to the end, and holds the lock that keeps browsers from freezing it", async () => {
    const other = await browser.newPage();
    await page.bringToFront();
    expect(await visibility()).toBe("visible");
    await begin(60);
    await other.bringToFront();
    expect(await visibility()).toBe("hidden");
    expect(await drawn()).toBe(0);
    // That is while it is at work.
    const held = await page.evaluate(async () =>
      (await navigator.locks.query()).held?.map(({ name }) => name),
    );
    expect(held).toContainEqual(expect.stringMatching(/^lvsa\/awake\//));
    expect(await page.$$("#results article")).toHaveLength(0);
    await finished(1);
    expect(await text("problem")).toBe("");
    expect(await text("results")).toContain("60 steps");
    expect(await visibility()).toBe("hidden");
    const after = await page.evaluate(async () =>
      (await navigator.locks.query()).held?.map(({ name }) => name),
    );
    expect(after).not.toContainEqual(expect.stringMatching(/^lvsa\/awake\//));
    await other.close();
  });

  it("goes on with its clip when a browser froze it all the same", async () => {
    await page.bringToFront();
    const protocol = await page.createCDPSession();
    await begin(20);
    await protocol.send("Page.setWebLifecycleState", { state: "frozen" });
    await protocol.send("Page.setWebLifecycleState", { state: "active" });
    await finished(2);
    expect(await text("problem")).toBe("");
  });
});
