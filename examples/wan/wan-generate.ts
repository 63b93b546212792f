// A video from a Wan checkpoint, with Long-Video Sparse Attention.
// node --experimental-strip-types wan-generate.ts <checkpoint folder> <output.mp4> <prompt>   (node 22.6 or newer)
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { createWanAdapter } from "@lvsa/adapter-wan";
import { installLvsa } from "@lvsa/core";
import type { GenerateOptions } from "@lvsa/diffusion";
import { WanPipeline } from "@lvsa/diffusion/wan";
import { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
import { writeVideo } from "@lvsa/video/node";

export async function main(
  checkpoint: string,
  output: string,
  options: GenerateOptions,
  device: NodeDeviceOptions = {},
): Promise<string> {
  const gpu = await createDevice(device);
  const pipeline = await WanPipeline.fromPretrained(nodeFolder(checkpoint), { device: gpu });
  const lvsa = installLvsa(pipeline, createWanAdapter(), { log: console.log });
  try {
    const onStep: NonNullable<GenerateOptions["onStep"]> = (step) =>
      console.log(`step ${step.index + 1}/${step.count}`);
    const video = await pipeline.generate({ ...options, onStep });
    const metadata = { title: options.prompt, settings: video.settings };
    return (await writeVideo(output, { ...video, metadata })).path;
  } finally {
    lvsa[Symbol.dispose]();
    pipeline.dispose();
    gpu.dispose();
  }
}

if (import.meta.url === pathToFileURL(argv[1] ?? "").href) {
  const [checkpoint = "", output = "video.mp4", prompt = "A cat walks in the garden."] = argv.slice(2);
  console.log(await main(checkpoint, output, { prompt, numFrames: 161, seed: 42 }));
  process.exit(0);
}
