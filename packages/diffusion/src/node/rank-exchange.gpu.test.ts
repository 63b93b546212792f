/** What ranks that share a clip copy through memory, counted, and that it does not matter which of them is slow. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Collective } from "@lvsa/core";
import type { Device } from "@lvsa/runtime";
import { nodeFolder } from "@lvsa/runtime/node";
import { testDevice } from "@lvsa/runtime/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Engine } from "../engine/engine.js";
import { type TinyCase, tinyCases } from "../testing-support/tiny-pipelines.js";
import { ProcessGroup } from "./process-group.js";

/** Of the tiny checkpoint. */
const LAYERS = 2;
const RANKS = 2;

let devices: Device[];
let one: TinyCase;
let folder: string;
const maps = new Map<Device, number>();
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ranks-"));
  devices = await Promise.all([testDevice(), testDevice()]);
  for (const device of devices) countMaps(device);
  one = (await tinyCases()).find(({ family }) => family === "wan")!;
});
afterAll(async () => {
  for (const device of devices) device.dispose();
  await rm(folder, { recursive: true });
});

/** Buffers that are made from now on. */
function countMaps(device: Device): void {
  const createBuffer = device.gpu.createBuffer.bind(device.gpu);
  device.gpu.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    const mapAsync = buffer.mapAsync.bind(buffer);
    buffer.mapAsync = (...args: Parameters<GPUBuffer["mapAsync"]>) => {
      maps.set(device, (maps.get(device) ?? 0) + 1);
      return mapAsync(...args);
    };
    return buffer;
  };
}

interface Counted {
  readonly latents: number[];
  readonly maps: number;
  readonly createdBuffers: number;
  /** Of each round: what this rank gave, and took of others. */
  readonly rounds: { readonly given: number; readonly taken: number }[];
  /** Bytes that the system copied for it. */
  readonly copied: { readonly givenBytes: number; readonly takenBytes: number };
}

async function generate(rank: number, steps: number, context?: Collective): Promise<Omit<Counted, "copied">> {
  const device = devices[rank]!;
  const rounds: Counted["rounds"] = [];
  const counted: Collective | undefined = context && {
    rank,
    worldSize: context.worldSize,
    allGather: (bytes, wanted, into) => {
      const taken = into?.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(taken, "a new array for each round").toBeDefined();
      rounds.push({ given: bytes.byteLength, taken: taken! });
      return context.allGather(bytes, wanted, into);
    },
  };
  using engine = await Engine.open(nodeFolder(one.opened.checkpoint), {
    ...{ device, precision: "f32", registered: false },
    ...(counted ? { parallel: { context: counted } } : {}),
  });
  const before = { maps: maps.get(device) ?? 0, createdBuffers: device.memory().createdBuffers };
  const options = { prompt: "", ...one.options, numInferenceSteps: steps, guidanceScale: 1, seed: 1 };
  const { latents } = await engine.generate(options);
  return {
    latents: [...latents.data],
    maps: maps.get(device)! - before.maps,
    createdBuffers: device.memory().createdBuffers - before.createdBuffers,
    rounds,
  };
}

type Delay = (rank: number) => number;

async function together(steps: number, delay?: Delay): Promise<Counted[]> {
  await using first = await ProcessGroup.open({ worldSize: RANKS, folder });
  await using second = await ProcessGroup.join(first.address, 1);
  await first.complete();
  const groups = [first, second];
  return await Promise.all(
    groups.map(async (group, rank) => {
      const collective = group.collective();
      const late: Collective = {
        ...collective,
        allGather: async (bytes, wanted, into) => {
          const milliseconds = delay?.(rank) ?? 0;
          if (milliseconds > 0) await new Promise((go) => setTimeout(go, milliseconds));
          return collective.allGather(bytes, wanted, into);
        },
      };
      return { ...(await generate(rank, steps, late)), copied: group.traffic };
    }),
  );
}

test("each byte is copied once by each side, and a layer maps two buffers and makes none", async () => {
  const steps = 3;
  const alone = await generate(0, steps);
  // What outlives a run is there afterwards.
  await together(1);
  const fewer = await together(steps - 1);
  const ranks = await together(steps);
  for (const [rank, { rounds, copied, maps, createdBuffers }] of ranks.entries()) {
    // Keys and values of each layer, and the frames of the result, once in each step.
    expect(rounds).toHaveLength(steps * (LAYERS + 1));
    expect(copied.givenBytes).toBe(rounds.reduce((sum, { given }) => sum + given, 0));
    expect(copied.takenBytes).toBe(rounds.reduce((sum, { taken }) => sum + taken, 0));
    // What one gives is what the other takes: nothing that nobody wants.
    expect(rounds.map(({ given }) => given)).toEqual(ranks[1 - rank]!.rounds.map(({ taken }) => taken));
    expect(maps - alone.maps).toBe(2 * rounds.length);
    expect(createdBuffers - fewer[rank]!.createdBuffers).toBe(0);
  }
});

/** Milliseconds of 0 to 7, the same in every run. */
function random(): Delay {
  let state = 7;
  return () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return state >> 28;
  };
}

test.each<[string, Delay]>([
  ["the first", (rank) => (rank === 0 ? 8 : 0)],
  ["the last", (rank) => (rank === RANKS - 1 ? 8 : 0)],
  ["now one and now the other", random()],
])("the latents are the same when %s is slow", async (_, delay) => {
  const prompt = await together(2);
  const late = await together(2, delay);
  for (const [rank, { latents }] of late.entries()) expect(latents).toEqual(prompt[rank]!.latents);
});
