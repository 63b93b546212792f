/** The packages in a browser with WebGPU: a bundle for the web, a checkpoint from a server, a clip as in Node. */
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { createDevice, nodeFolder } from "@lvsa/diffusion/node";
import { WanPipeline } from "@lvsa/diffusion/wan";
import { relativeL2 } from "@lvsa/runtime/testing";
import { build } from "esbuild";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chromiumPath, startChromium } from "./browser/chromium.js";
import { root } from "./testing/packed.js";

const checkpoint = join(root, "fixtures/tiny-wan");

const page = `
  import { createDevice, httpFolder } from "@lvsa/runtime";
  import { createWanAdapter, installLvsa } from "@lvsa/adapter-wan";
  import { WanPipeline } from "@lvsa/diffusion/wan";
  import { encodeVideo } from "@lvsa/video";

  globalThis.generate = async (isSparse) => {
    const device = await createDevice();
    const folder = httpFolder(new URL("model", location.href).href);
    const pipeline = await WanPipeline.fromPretrained(folder, { device });
    const lvsa = isSparse ? installLvsa(pipeline, createWanAdapter()) : undefined;
    const clip = { numFrames: 9, height: 32, width: 48, numInferenceSteps: 2, seed: 1 };
    const video = await pipeline.generate({ prompt: "a boat", ...clip });
    const { bytes, format } = await encodeVideo({ ...video, format: "png" });
    const out = {
      latents: [...video.latents.data], blocks: lvsa?.blocks ?? 0, format, bytes: bytes.length, adapter: device.info.vendor,
    };
    pipeline.dispose();
    device.dispose();
    return out;
  };`;

/** Latents of the same clip from Node. */
async function generatedByNode(): Promise<Float32Array> {
  const device = await createDevice({ adapter: process.env.LVSA_TEST_ADAPTER || "auto" });
  const pipeline = await WanPipeline.fromPretrained(nodeFolder(checkpoint), { device });
  const clip = { numFrames: 9, height: 32, width: 48, numInferenceSteps: 2, seed: 1 };
  const { latents } = await pipeline.generate({ prompt: "a boat", ...clip });
  pipeline.dispose();
  device.dispose();
  return latents.data;
}

interface Generated {
  readonly latents: number[];
  readonly blocks: number;
  readonly format: string;
  readonly bytes: number;
}

it("has Chromium to test with", ({ skip }) => {
  if (chromiumPath) return;
  skip("the packages are not tried in a browser: install chromium, or name it in LVSA_CHROMIUM");
});

describe.skipIf(!chromiumPath)("in Chromium", () => {
  let server: Server;
  let browser: Browser;
  let address: string;

  beforeAll(async () => {
    const { outputFiles } = await build({
      stdin: { contents: page, resolveDir: join(root, "apps/cli") },
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false,
      logLevel: "error",
    });
    const bundle = outputFiles[0]!.text;
    server = createServer(async (request, response) => {
      const path = decodeURIComponent(new URL(request.url!, "http://x").pathname);
      if (path === "/")
        return void response
          .setHeader("content-type", "text/html")
          .end('<script type="module" src="/main.js"></script>');
      if (path === "/main.js") return void response.setHeader("content-type", "text/javascript").end(bundle);
      const file = join(checkpoint, normalize(path.replace(/^\/model\//, "")));
      const data = await readFile(file).catch(() => undefined);
      if (!data) return void response.writeHead(404).end();
      const range = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? "");
      if (!range) return void response.setHeader("accept-ranges", "bytes").end(data);
      const start = Number(range[1]);
      const end = Math.min(range[2] === undefined ? data.length - 1 : Number(range[2]), data.length - 1);
      response.writeHead(206, { "content-range": `bytes ${start}-${end}/${data.length}` });
      response.end(data.subarray(start, end + 1));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    browser = await startChromium();
  });
  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it("runs the example of a foreign device", async () => {
    const { outputFiles } = await build({
      entryPoints: [join(root, "examples/foreign-buffers/page.ts")],
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false,
      logLevel: "error",
    });
    // Only what core needs comes along.
    expect(outputFiles[0]!.text.length).toBeLessThan(200_000);
    const tab = await browser.newPage();
    await tab.goto(address);
    await tab.setContent("<output>Computing…</output>");
    await tab.addScriptTag({ type: "module", content: outputFiles[0]!.text });
    const said = () => tab.textContent("output");
    await expect.poll(said, { timeout: 30_000 }).toMatch(/^50 % of dense/);
    const [, first] = /the first (\S+)$/.exec((await said())!)!;
    // By the definition: the first query attends to the leading frame, the keyframes and its window.
    const at = (step: number, token: number, heads: number, d: number) =>
      Math.sin((token * heads * 64 + d) * step);
    const keys = [0, 1, 2, 3, 4, 5, 6, 12].flatMap((f) => Array.from({ length: 128 }, (_, p) => f * 128 + p));
    const channels = Array.from({ length: 64 }, (_, d) => d);
    const weights = keys.map((k) =>
      Math.exp(channels.reduce((sum, d) => sum + at(0.17, k, 2, d) * at(0.31, 0, 4, d), 0) / 8),
    );
    const total = weights.reduce((sum, w) => sum + w, 0);
    const expected = keys.reduce((sum, k, i) => sum + (weights[i]! / total) * at(0.23, k, 2, 0), 0);
    // f32 sums of a thousand terms
    expect(Math.abs(Number(first) - expected)).toBeLessThan(1e-5);
    await tab.close();
  });

  it("generates the same clip twice, and another one with LVSA, from a checkpoint on a server", async () => {
    const tab = await browser.newPage();
    const said: string[] = [];
    tab.on("pageerror", (error) => said.push(error.message));
    await tab.goto(address);
    await tab.waitForFunction("globalThis.generate !== undefined");
    const generate = (isSparse: boolean) =>
      tab.evaluate(`globalThis.generate(${isSparse})`) as Promise<Generated>;
    const dense = await generate(false);
    expect(said).toEqual([]);
    expect(dense.latents).toHaveLength(16 * 3 * 4 * 6);
    expect(dense.latents.every(Number.isFinite)).toBe(true);
    expect(dense.bytes).toBeGreaterThan(9 * 32 * 48);
    expect((await generate(false)).latents).toEqual(dense.latents);
    // Two drivers round differently; 1.4e-6 was seen between SwiftShader and lavapipe.
    expect(relativeL2(Float32Array.from(dense.latents), await generatedByNode())).toBeLessThan(1e-4);
    expect((await generate(true)).blocks).toBeGreaterThan(0);
  });
});
