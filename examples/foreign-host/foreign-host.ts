// Pebble, dense:   npx tsx foreign-host.ts
// Pebble, sparse:  LVSA_WAN_HOOK=1 npx tsx foreign-host.ts
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import type { HooksOptions } from "@lvsa/hooks";
import { create } from "webgpu";
import { type PebbleClip, PebbleEngine, pebbleNoise } from "./pebble-engine.ts";

export const CLIP: PebbleClip = { latentFrames: 24, patchesPerFrame: 6, steps: 3 };

export async function main(gpu: GPUDevice, options: HooksOptions = {}): Promise<Float32Array> {
  const engine = new PebbleEngine(gpu, options);
  try {
    return await engine.generate(pebbleNoise(CLIP), CLIP);
  } finally {
    engine.dispose();
  }
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const dawn = create([]);
  const adapter = await dawn.requestAdapter();
  if (!adapter) throw new Error("no GPU driver found");
  const result = await main(await adapter.requestDevice());
  console.log(`${result.length} values, mean ${result.reduce((sum, x) => sum + x, 0) / result.length}`);
  process.exit(0);
}
