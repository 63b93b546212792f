// A video from a Cosmos 3 checkpoint, with Long-Video Sparse Attention.
// npx tsx cosmos3-generate.ts <checkpoint folder> <output.mp4> <prompt> [frames] [height] [width]
import { argv } from "node:process";
import { pathToFileURL } from "node:url";
import { installCosmos3Lvsa } from "@lvsa/cosmos3-processor";
import type { GenerateOptions, StepReport } from "@lvsa/diffusion";
import { Cosmos3OmniPipeline } from "@lvsa/diffusion/cosmos3";
import { createDevice, type NodeDeviceOptions, nodeFolder } from "@lvsa/runtime/node";
import { writeVideo } from "@lvsa/video/node";

export async function main(
  checkpoint: string,
  output: string,
  options: GenerateOptions,
  device: NodeDeviceOptions = {},
): Promise<string> {
  const gpu = await createDevice(device);
  const pipeline = await Cosmos3OmniPipeline.fromPretrained(nodeFolder(checkpoint), { device: gpu });
  const { numFrames, height, width } = { ...pipeline.defaults, ...options };
  const lvsa = installCosmos3Lvsa(pipeline.transformers[0], { numFrames, height, width, log: console.log });
  try {
    const onStep = ({ index, count }: StepReport) => console.log(`step ${index + 1}/${count}`);
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
  const [checkpoint = "", output = "video.mp4", prompt = "A red kite dances over the grey sea.", ...clip] =
    argv.slice(2);
  const [numFrames = 377, ...size] = clip.map(Number);
  const options = size.length === 2 ? { height: size[0]!, width: size[1]! } : {};
  console.log(await main(checkpoint, output, { prompt, numFrames, seed: 42, ...options }));
  process.exit(0);
}
