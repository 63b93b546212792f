// A video from a HunyuanVideo 1.5 checkpoint, with Long-Video Sparse Attention.
// npx tsx hunyuan-generate.ts <checkpoint folder> <output.mp4> <prompt> [frames] [height] [width]
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { createHunyuanAdapter } from "@lvsa/adapter-hunyuan";
import { installLvsa } from "@lvsa/core";
import type { GenerateOptions, StepReport } from "@lvsa/diffusion";
import { HunyuanVideo15Pipeline } from "@lvsa/diffusion/hunyuan";
import { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
import { writeVideo } from "@lvsa/video/node";

export async function main(
  checkpoint: string,
  output: string,
  options: GenerateOptions,
  device: NodeDeviceOptions = {},
): Promise<string> {
  const gpu = await createDevice(device);
  const pipeline = await HunyuanVideo15Pipeline.fromPretrained(nodeFolder(checkpoint), { device: gpu });
  const lvsa = installLvsa(pipeline, createHunyuanAdapter(), { log: console.log });
  try {
    const onStep = (step: StepReport) => console.log(`step ${step.index + 1}/${step.count}`);
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
  const [checkpoint = "", output = "video.mp4", prompt = 'A neon sign in the rain says "OPEN".', ...clip] =
    argv.slice(2);
  const [numFrames = 257, ...size] = clip.map(Number);
  const options = size.length === 2 ? { height: size[0]!, width: size[1]! } : {};
  console.log(await main(checkpoint, output, { prompt, numFrames, seed: 42, ...options }));
  process.exit(0);
}
