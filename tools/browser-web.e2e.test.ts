/** @lvsa/web in Chromium, in an application of its own: what survives a lost GPU, a full disk, a pause. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Web from "@lvsa/web";
import { build } from "esbuild";
import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumPath, startChromium } from "./browser/chromium.js";
import { type Served, serveFolder } from "./browser/serve.js";
import { builtPage } from "./browser/tested-page.js";
import { root } from "./testing/packed.js";

/** With its list of files; browsers take room by the megabyte, so that a smaller one would not show what fits. */
const checkpoint = join(builtPage, "model");
const paths = readdirSync(checkpoint, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => statSync(join(checkpoint, path)).isFile());
const modelBytes = paths.reduce((sum, path) => sum + statSync(join(checkpoint, path)).size, 0);
const clip = {
  ...{ prompt: "a boat", numFrames: 9, height: 32, width: 48, numInferenceSteps: 8, guidanceScale: 1 },
  ...{ seed: 1, format: "png" as const },
};

interface Made {
  readonly latents: number[];
  readonly notes: readonly string[];
  /** Steps that were said to be done. */
  readonly steps: readonly number[];
}

/** In the page. */
declare global {
  var web: typeof Web;
  var generator: Web.VideoGenerator;
  var said: string[];
  var steps: number[];
  var isHeld: boolean;
  var making: Promise<Made>;
}

it("has Chromium to test with", ({ skip }) => {
  if (!chromiumPath)
    skip("@lvsa/web is not tried in a browser: install chromium, or name it in LVSA_CHROMIUM");
});

describe.skipIf(!chromiumPath)("@lvsa/web in Chromium", () => {
  let folder: string;
  let served: Served;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let protocol: CDPSession;
  let origin: string;
  /** Latents of a run that nothing disturbs. */
  let expected: number[];

  /** Opens a model in the page; what was said meanwhile is in `said`. */
  const open = (model: Extract<Web.ModelSource, { kind: "url" }>) =>
    page.evaluate(async (source) => {
      globalThis.generator?.dispose();
      globalThis.said = [];
      globalThis.generator = await web.createGenerator({
        model: source,
        createWorker: () => new Worker("/worker.js", { type: "module" }),
        onNote: (note) => said.push(note),
      });
    }, model);
  const urlOf = (name: string) => ({ kind: "url", url: `${origin}/${name}`, keep: true }) as const;
  /** Begins a clip; with `pauseAt` it is paused when so many steps are done. */
  const begin = (options: Omit<Web.ClipOptions, "loras">, pauseAt?: number) =>
    page.evaluate(
      ([options, pauseAt]) => {
        globalThis.steps = [];
        globalThis.isHeld = false;
        const onProgress = ({ stage, done }: Web.Progress) => {
          if (stage !== "denoise") return;
          steps.push(done);
          if (done === pauseAt) generator.pause();
        };
        globalThis.making = generator
          .generate(options, {
            onProgress,
            onHeld: (held) => {
              globalThis.isHeld = held;
            },
          })
          .then(({ latents, notes }) => ({ latents: [...latents.data], notes, steps }));
        making.catch(() => undefined);
      },
      [options, pauseAt] as const,
    );
  const goOn = () => page.evaluate(() => generator.pause(false));
  const made = () => page.evaluate(() => making);
  const stepsSaid = () => page.evaluate(() => steps);
  const held = () => page.waitForFunction("isHeld", undefined, { timeout: 60_000 });
  const kept = () => page.evaluate(async () => (await web.keptModels()).map(({ url }) => url));
  const requests = (name: string) => served.requests.filter(({ path }) => path.startsWith(`/model/${name}/`));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lvsa-web-"));
    await build({
      stdin: {
        contents: 'import * as web from "@lvsa/web"; globalThis.web = web;',
        resolveDir: join(root, "apps/web"),
      },
      outfile: join(folder, "main.js"),
      ...{ bundle: true, format: "esm", platform: "browser", logLevel: "error" },
    });
    await build({
      entryPoints: [{ in: join(root, "packages/web/dist/worker.js"), out: "worker" }],
      outdir: folder,
      ...{ bundle: true, splitting: true, format: "esm", platform: "browser", logLevel: "error" },
    });
    writeFileSync(join(folder, "index.html"), '<script type="module" src="/main.js"></script>');
    mkdirSync(join(folder, "model"));
    for (const name of ["one", "two"]) symlinkSync(checkpoint, join(folder, "model", name), "junction");
    served = await serveFolder(folder);
    origin = served.address.replace(/\/$/, "");
    browser = await startChromium();
    context = await browser.newContext();
    page = await context.newPage();
    protocol = await context.newCDPSession(page);
    await page.goto(served.address);
    await page.waitForFunction("globalThis.web !== undefined");
  });
  afterAll(async () => {
    await browser?.close();
    served?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("reads a folder of the origin's private file system", async () => {
    await page.evaluate(
      async ([paths, address]) => {
        const root = await (await navigator.storage.getDirectory()).getDirectoryHandle("mine", {
          create: true,
        });
        for (const path of paths) {
          const parts = path.split("/");
          let directory = root;
          for (const part of parts.slice(0, -1))
            directory = await directory.getDirectoryHandle(part, { create: true });
          const file = await directory.getFileHandle(parts.at(-1)!, { create: true });
          const writable = await file.createWritable();
          await writable.write(await (await fetch(`${address}/${path}`)).arrayBuffer());
          await writable.close();
        }
        globalThis.said = [];
        globalThis.generator = await web.createGenerator({
          model: { kind: "directory", handle: root },
          createWorker: () => new Worker("/worker.js", { type: "module" }),
          onNote: (note) => said.push(note),
        });
      },
      [paths, `${origin}/model/one`] as const,
    );
    await begin(clip);
    const { latents, notes } = await made();
    expect(notes).toEqual([]);
    expect(latents.length).toBe(8 * 3 * 4 * 6);
    expect(latents.every(Number.isFinite)).toBe(true);
    expected = latents;
  });

  it("holds a clip within a step, and goes on with the same latents", async () => {
    await begin(clip, 3);
    await held();
    const paused = await stepsSaid();
    // The step that was running is finished at most.
    expect(paused).toContain(3);
    expect(paused.at(-1)).toBeLessThanOrEqual(4);
    // Several steps' time: a clip that does not wait is seen, one that does is never taken for one that does not.
    await page.waitForTimeout(500);
    expect(await stepsSaid()).toEqual(paused);
    await goOn();
    await page.waitForFunction("!isHeld");
    expect((await made()).latents).toEqual(expected);
  });

  it("goes on from the last step each time that the GPU is lost", async () => {
    const [worker] = page.workers();
    await worker!.evaluate(() => {
      const { prototype } = GPUDevice;
      const make = prototype.createCommandEncoder;
      prototype.createCommandEncoder = function (...args) {
        Object.assign(globalThis, { device: this });
        return make.apply(this, args);
      };
    });
    await begin(clip, 3);
    await held();
    await worker!.evaluate("device.destroy()");
    await goOn();
    await expect.poll(stepsSaid, { timeout: 60_000 }).toContain(6);
    await worker!.evaluate("device.destroy()");
    const { latents, notes, steps: said } = await made();
    expect(latents).toEqual(expected);
    expect(notes.filter((note) => /^The GPU was lost/.test(note))).toHaveLength(2);
    expect(notes[0]).toMatch(/went on after step [34]\.$/);
    // No step was done more than once but the two that were cut off.
    expect(said.length).toBeLessThanOrEqual(clip.numInferenceSteps + 2);
    // A device that is lost while nothing runs is no matter either.
    await worker!.evaluate("device.destroy()");
    await begin(clip);
    expect((await made()).latents).toEqual(expected);
  });

  it("says that there is no room for a model, and reads it from the server instead", async () => {
    await protocol.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: modelBytes * 1.7 });
    await open(urlOf("model/one"));
    const [note] = await page.evaluate(() => said);
    expect(note).toMatch(
      /not kept in the browser: the browser gave this page no more room for files after \d+\.\d MB of the model's 11\.\d MB/,
    );
    const before = requests("one").length;
    await begin(clip);
    expect((await made()).latents).toEqual(expected);
    expect(requests("one").length).toBeGreaterThan(before);
    await page.evaluate(async () => {
      await (await navigator.storage.getDirectory()).removeEntry("mine", { recursive: true });
    });
  });

  it("removes the model that was used longest ago where it may", async () => {
    await open(urlOf("model/one"));
    expect(await page.evaluate(() => said)).toEqual([]);
    expect(await kept()).toEqual([`${origin}/model/one`]);
    await open(urlOf("model/two"));
    expect((await page.evaluate(() => said))[0]).toMatch(/not kept in the browser/);
    await open({ ...urlOf("model/two"), makeRoom: true });
    expect(await page.evaluate(() => said)).toEqual([
      `${origin}/model/one was removed from the browser to make room.`,
    ]);
    expect(await kept()).toEqual([`${origin}/model/two`]);
    await protocol.send("Storage.overrideQuotaForOrigin", { origin });
  });

  it("loads a model again that the browser has removed", async () => {
    const before = requests("two").length;
    await open(urlOf("model/two"));
    expect(requests("two").length).toBe(before);
    await protocol.send("Storage.clearDataForOrigin", { origin, storageTypes: "file_systems" });
    expect(await kept()).toEqual([]);
    // Also while it is open.
    await begin(clip);
    expect((await made()).latents).toEqual(expected);
    expect(requests("two").length).toBeGreaterThan(before);
    expect(await kept()).toEqual([`${origin}/model/two`]);
  });
});
