/** LVSA's attention time over dense attention's on CogVideoX shapes: both streams, text attended by every query. */
import { createCogVideoXAdapter } from "@lvsa/adapter-cogvideox";
import {
  attention,
  FrameSparseLayout,
  frameSparseAttention,
  PatternController,
  resolveLvsaConfig,
} from "@lvsa/core";
import { timeInterleaved } from "@lvsa/core/bench";
import { type Device, deviceLabel, type Tensor } from "@lvsa/runtime";
import { createDevice } from "@lvsa/runtime/node";
import { seededNormal } from "@lvsa/runtime/testing";

const TEXT_TOKENS = 226;
const HEAD_DIM = 64;
/** Time grows with the number of heads for both alike; the models have 30 and 48. */
const HEADS = 1;
/** 144x240 pixels; the models make 1350 tokens per frame of 480x720. */
const PATCHES = 135;
const REFERENCE = 13;

/** One line: LVSA and dense attention taking turns at `multiple` times the training length. */
export async function benchCogVideoXAttention(device: Device, multiple: number): Promise<string> {
  const frames = REFERENCE * multiple;
  const tokens = frames * PATCHES;
  const made: { dispose(): void }[] = [];
  const stream = (length: number, seed: number): Tensor => {
    const values = seededNormal(length * HEADS * HEAD_DIM, seed);
    const tensor = device.upload(values, [1, length, HEADS, HEAD_DIM]);
    made.push(tensor);
    return tensor;
  };
  const video = { query: stream(tokens, 1), key: stream(tokens, 2), value: stream(tokens, 3) };
  const context = { contextKey: stream(TEXT_TOKENS, 4), contextValue: stream(TEXT_TOKENS, 5) };
  const textQuery = stream(TEXT_TOKENS, 6);
  const resolved = resolveLvsaConfig(createCogVideoXAdapter().defaults, {
    latentFrames: frames,
    patchesPerFrame: PATCHES,
    referenceLatentFrames: REFERENCE,
    temporalFactor: 4,
  });
  const { pattern } = new PatternController(resolved);
  const layout = new FrameSparseLayout(device);
  made.push(layout);
  const text = () => attention(device, { ...video, query: textQuery, ...context }).output.dispose();
  const [dense, sparse] = await timeInterleaved(device, [
    {
      name: "dense",
      run: () => {
        attention(device, { ...video, ...context }).output.dispose();
        text();
      },
    },
    {
      name: "lvsa",
      run: () => {
        frameSparseAttention(device, { ...video, ...context, pattern, layout }).output.dispose();
        text();
      },
    },
  ]);
  for (const one of made) one.dispose();
  const ratio = sparse!.milliseconds / dense!.milliseconds;
  // Text keys and text queries are whole in both.
  const all = tokens + TEXT_TOKENS;
  const pairs = (tokens * (pattern.density * tokens + TEXT_TOKENS) + TEXT_TOKENS * all) / all ** 2;
  return (
    `${deviceLabel(device.info)}: ${frames} x ${PATCHES} video and ${TEXT_TOKENS} text tokens, ${HEADS} head of ${HEAD_DIM}: ` +
    `dense ${dense!.milliseconds.toFixed(0)} ms, LVSA ${sparse!.milliseconds.toFixed(0)} ms, ratio ${ratio.toFixed(3)}, ` +
    `attended ${pairs.toFixed(3)} of all pairs (efficiency ${(pairs / ratio).toFixed(2)})`
  );
}

const device = await createDevice();
for (const multiple of [2, 4]) console.log(await benchCogVideoXAttention(device, multiple));
process.exit(0);
