/** Transformers in the memory of two blocks: the same bits, from weights that are read once for each time they are used. */
import { type Device, type TensorInfo, type WeightSource, WeightsError } from "@lvsa/runtime";
import { seededNormal, testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { getKnownModel } from "../../catalog/known-models.js";
import type { ModelDescription } from "../../catalog/model-description.js";
import { randomWeights } from "../../rehearsal/random-weights.js";
import { rehearseMemory } from "../../rehearsal/rehearse-memory.js";
import { StandInModel } from "../../rehearsal/stand-in-model.js";
import type { BlockOffload } from "../parameters.js";
import { WanTransformer3DModel } from "./transformer-wan.js";

const SMALL: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "wan2.1-t2v-1.3b": { num_layers: 5, num_attention_heads: 2, attention_head_dim: 24, ffn_dim: 96 },
  "hunyuanvideo-1.5-480p-t2v": { num_layers: 3, num_attention_heads: 1, num_refiner_layers: 1 },
  "cogvideox-5b": { num_layers: 3, num_attention_heads: 2 },
  "cosmos3-nano": {
    num_hidden_layers: 3,
    hidden_size: 128,
    intermediate_size: 256,
    num_attention_heads: 1,
    num_key_value_heads: 1,
  },
};
const clip = { numFrames: 9, height: 64, width: 64 };
const step = (index: number) => ({ index, count: 2, generation: 0 });

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device.dispose());

function small(name: string): ModelDescription {
  const known = getKnownModel(name);
  const transformer = known.components.transformer!;
  const config = { ...transformer.config, ...SMALL[name] };
  return { ...known, components: { ...known.components, transformer: { ...transformer, config } } };
}

describe.each(Object.keys(SMALL))("%s", (name) => {
  it("predicts the same bits as with all blocks on the GPU, in the memory that was planned", async () => {
    const model = small(name);
    const run = async (offload: boolean) => {
      await device.releaseMemory();
      device.resetPeakMemory();
      using host = new StandInModel(device, model, { ...clip, offload });
      for (const encoder of host.encoders.filter((one) => one === "transformer")) await host.encode(encoder);
      await device.releaseMemory();
      await host.loadTransformer();
      await device.releaseMemory();
      device.resetPeakMemory();
      const passes = [await host.forward(step(0)), await host.forward(step(1))];
      return { passes, peakBytes: device.memory().peakBytes };
    };
    const whole = await run(false);
    const offloaded = await run(true);
    expect(whole.passes[0]!.some((value) => value !== 0)).toBe(true);
    expect(offloaded.passes).toEqual(whole.passes);
    expect(offloaded.peakBytes).toBeLessThan(whole.peakBytes);
    const { phases } = await rehearseMemory({ model, ...clip, device, offload: true, guidanceScale: 1 });
    const planned = phases.find((phase) => phase.name === "denoising")!.bytes;
    // The pool of a real device may find another free buffer of the same use: 5 % is what a plan may be off.
    expect(offloaded.peakBytes).toBeLessThanOrEqual(planned);
    expect(offloaded.peakBytes).toBeGreaterThan(0.95 * planned);
  });
});

describe("weights of a Wan transformer that are read while it runs", () => {
  const component = small("wan2.1-t2v-1.3b").components.transformer!;
  const layers = SMALL["wan2.1-t2v-1.3b"]!.num_layers as number;

  /** Counts how often each block is read; fails where it is told to. */
  class CountedWeights implements WeightSource {
    readonly reads = new Map<number, number>();
    fails: ((name: string) => boolean) | undefined;
    readonly #base = randomWeights(component);
    readonly metadata = {};
    readonly totalBytes = this.#base.totalBytes;
    readonly parameterCount = this.#base.parameterCount;
    names = () => this.#base.names();
    has = (name: string) => this.#base.has(name);
    info = (name: string): TensorInfo => this.#base.info(name);
    withPrefix = (prefix: string) => this.#base.withPrefix(prefix);
    close = async () => {};
    read: WeightSource["read"] = async (name, range) => {
      this.#count(name);
      return this.#base.read(name, range);
    };
    stream: WeightSource["stream"] = async (name, ...rest) => {
      this.#count(name);
      await this.#base.stream(name, ...rest);
    };

    #count(name: string): void {
      if (this.fails?.(name)) throw new WeightsError("READ_FAILED", `the disk has lost ${name}`);
      const block = /^blocks\.(\d+)\.attn1\.to_q\.weight$/.exec(name)?.[1];
      if (block !== undefined) this.reads.set(Number(block), (this.reads.get(Number(block)) ?? 0) + 1);
    }
  }

  async function opened(source: WeightSource, offload: BlockOffload | undefined) {
    const model = new WanTransformer3DModel(device, component.config);
    await model.load(source, { offload });
    const { in_channels, text_dim } = model.config;
    const latents = device.upload(seededNormal(in_channels * 3 * 8 * 8, 1), [1, in_channels, 3, 8, 8]);
    const encoderHiddenStates = device.upload(seededNormal(5 * text_dim, 2), [1, 5, text_dim]);
    const forward = async (signal?: AbortSignal, onBlock?: (done: number) => void) => {
      using output = await model.forward({ latents, encoderHiddenStates, timestep: 500, signal, onBlock });
      return device.read(output);
    };
    const dispose = () => {
      model.dispose();
      for (const tensor of [latents, encoderHiddenStates]) tensor.dispose();
    };
    return { forward, dispose };
  }

  it("are read once per pass, and from host memory where they are kept", async () => {
    const whole = await opened(new CountedWeights(), undefined);
    const expected = await whole.forward();
    whole.dispose();
    const passes = 3;
    for (const cacheBytes of [0, 1e9]) {
      const source = new CountedWeights();
      const model = await opened(source, { cacheBytes });
      for (let pass = 0; pass < passes; pass++) expect(await model.forward()).toEqual(expected);
      model.dispose();
      // Behind the last pass the first block is on its way again.
      const most = Array.from({ length: layers }, (_, index) =>
        cacheBytes > 0 ? 1 : passes + (index === 0 ? 1 : 0),
      );
      expect([...source.reads].sort(([a], [b]) => a - b).map(([, count]) => count)).toEqual(most);
    }
  });

  it("leave nothing behind, whatever a pass comes to", async () => {
    await device.releaseMemory();
    const before = device.memory().liveBytes;
    const source = new CountedWeights();
    const model = await opened(source, {});
    const expected = await model.forward();
    const stop = new AbortController();
    await expect(
      model.forward(stop.signal, (done) => {
        if (done === 2) stop.abort();
      }),
    ).rejects.toMatchObject({ name: "AbortError" });
    expect(await model.forward()).toEqual(expected);
    source.fails = (name) => name.startsWith("blocks.3.ffn.");
    await expect(model.forward()).rejects.toMatchObject({ code: "READ_FAILED" });
    source.fails = undefined;
    expect(await model.forward()).toEqual(expected);
    // Disposed while the next block is being read.
    model.dispose();
    await device.releaseMemory();
    expect(device.memory().liveBytes).toBe(before);
  });
});
