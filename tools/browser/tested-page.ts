/** The built page in a browser, with what it says, what it makes, and its form. */
import { join } from "node:path";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { root } from "../testing/packed.js";

/** Needs `turbo run build`. */
export const builtPage = join(root, "apps/web/dist");

/** A finished clip, as the page's event tells it. */
export interface HeardClip {
  readonly latents: number[];
  readonly type: string;
  readonly bytes: number;
  readonly settings: Record<string, unknown>;
  readonly notes: readonly string[];
}

export interface ClipFields {
  readonly prompt?: string;
  readonly numFrames: number;
  readonly height: number;
  readonly width: number;
  readonly numInferenceSteps: number;
  readonly guidanceScale: number;
  readonly seed: number;
}

export class TestedPage {
  /** Errors of the console, exceptions, breaches of the security policy, of all tabs. */
  readonly wrong: string[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
  ) {}

  static async open(browser: Browser, options: BrowserContextOptions = {}): Promise<TestedPage> {
    const context = await browser.newContext({
      viewport: { width: 1000, height: 800 },
      colorScheme: "light",
      ...options,
    });
    const page = await context.newPage();
    const tested = new TestedPage(context, page);
    tested.listen(page);
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`breach of the security policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
      const clips: unknown[] = [];
      document.addEventListener("lvsa-clip", (event) => {
        const { blob, latents, settings, notes } = (event as CustomEvent).detail;
        clips.push({ latents: [...latents.data], type: blob.type, bytes: blob.size, settings, notes });
      });
      Object.assign(globalThis, { clips });
    });
    return tested;
  }

  listen(tab: Page): void {
    tab.on("pageerror", (error) => this.wrong.push(error.message));
    tab.on("console", (message) => {
      if (message.type() === "error") this.wrong.push(`${message.text()} ${message.location().url}`);
    });
  }

  clips(): Promise<HeardClip[]> {
    return this.page.evaluate("globalThis.clips");
  }

  /** Waits for the form of an open model, or for the reason why there is none. */
  async opened(): Promise<void> {
    await this.page.waitForSelector("#form:not([hidden]), #problem strong", { timeout: 120_000 });
    const problem = await this.page.textContent("#problem");
    if (problem) throw new Error(`the page says: ${problem}`);
  }

  /** Waits until what is said of time and memory is of the clip that the form describes. */
  async planned(): Promise<string> {
    await this.page.waitForSelector('#estimate[aria-busy="false"]', { timeout: 60_000 });
    return (await this.page.textContent("#estimate")) ?? "";
  }

  /** The form as somebody with a mouse fills it. */
  async fill(clip: ClipFields): Promise<void> {
    const { page } = this;
    if (clip.prompt !== undefined) await page.fill("#prompt", clip.prompt);
    await page.evaluate("document.querySelector('#form details').open = true");
    await page.fill("#width", String(clip.width));
    await page.fill("#height", String(clip.height));
    await page.selectOption("#sampling", "");
    await page.fill("#steps", String(clip.numInferenceSteps));
    await page.fill("#guidance", String(clip.guidanceScale));
    await page.fill("#seed", String(clip.seed));
    // Families of the tests have one latent frame for each four.
    await page.fill("#length", String((clip.numFrames - 1) / 4));
  }

  /** Presses the button and waits for the next clip. */
  async made(press: () => Promise<void> = () => this.page.click("#generate")): Promise<HeardClip> {
    const before = (await this.clips()).length;
    await press();
    await this.page.waitForFunction((count) => globalThis.clips.length > count, before, {
      timeout: 120_000,
    });
    return (await this.clips())[before]!;
  }

  /** A picture of the page for people, where a folder for them is named. */
  async look(name: string, tab = this.page): Promise<void> {
    const folder = process.env.LVSA_SCREENSHOTS;
    if (folder) await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  }
}

declare global {
  /** In the page. */
  var clips: HeardClip[];
}
