// A video from a CogVideoX checkpoint, with Long-Video Sparse Attention.
// npx tsx cogvideox-generate.ts <checkpoint folder> <output.mp4> <prompt> [frames] [height] [width]
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { createCogVideoXAdapter } from "@lvsa/adapter-cogvideox";
import { installLvsa } from "@lvsa/core";
import type { GenerateOptions, StepReport } from "@lvsa/diffusion";
import { CogVideoXPipeline } from "@lvsa/diffusion/cogvideox";
import { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
import { writeVideo } from "@lvsa/video/node";

export async function main(
  checkpoint: string,
  output: string,
  options: GenerateOptions,
  device: NodeDeviceOptions = {},
): Promise<string> {
  const gpu = await createDevice(device);
  const pipeline = await CogVideoXPipeline.fromPretrained(nodeFolder(checkpoint), { device: gpu });
  const lvsa = installLvsa(pipeline, createCogVideoXAdapter(), { log: console.log });
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
  const [checkpoint = "", output = "video.mp4", prompt = "A panda plays a small guitar.", ...clip] =
    argv.slice(2);
  const [numFrames = 97, ...size] = clip.map(Number);
  const options = size.length === 2 ? { height: size[0]!, width: size[1]! } : {};
  console.log(await main(checkpoint, output, { prompt, numFrames, seed: 42, ...options }));
  process.exit(0);
}
