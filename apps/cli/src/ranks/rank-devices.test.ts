/** Ranks whose devices nobody named: a card each where that is possible, else one line that says what they share. */
import type { AdapterName, PciCard } from "@lvsa/runtime/node";
import { expect, test } from "vitest";
import { type CardSource, chooseRankDevices } from "./rank-devices.js";

const card = (address: string, vendor: string, device: string): PciCard => ({ address, vendor, device });
const H200 = [card("0000:3b:00.0", "10de", "2335"), card("0000:af:00.0", "10de", "2335")];
/** Of a server's own screen. */
const SCREEN = card("0000:02:00.0", "1a03", "2000");
const driver = (name: string): AdapterName => ({ backend: "vulkan", name });
const GPU = driver("NVIDIA H200");
const PROCESSOR = driver("llvmpipe");

function machine(
  cards: readonly PciCard[],
  all: readonly AdapterName[],
  alone: readonly AdapterName[],
): CardSource {
  return { cards: async () => cards, drivers: async (one) => (one ? alone : all) };
}

const two = { cfgParallelSize: 2, contextParallelSize: 1, device: "auto" };

test("ranks take different cards of one kind", async () => {
  const chosen = await chooseRankDevices(two, machine([SCREEN, ...H200], [GPU, GPU, PROCESSOR], [GPU]));
  expect(chosen.devices).toEqual(["pci:0000:3b:00.0", "pci:0000:af:00.0"]);
  expect(chosen.line).toContain("pci:0000:3b:00.0, pci:0000:af:00.0");
});

test.each<[string, CardSource, string]>([
  ["one card", machine([SCREEN, H200[0]!], [GPU, PROCESSOR], [GPU]), "no 2 equal cards"],
  ["no cards", machine([], [PROCESSOR], []), "no 2 equal cards"],
  ["cards that a container can not open", machine(H200, [GPU, PROCESSOR], [GPU]), "can not pick"],
  ["cards without Mesa's layer", machine(H200, [GPU, GPU], [GPU, GPU]), "can not pick"],
  ["cards without a driver", machine(H200, [PROCESSOR], [PROCESSOR]), "can not pick"],
  [
    "no package for drivers",
    { cards: async () => H200, drivers: () => Promise.reject(new Error("not installed")) },
    "can not pick",
  ],
])("%s: they share a device, and that is said", async (_, source, why) => {
  const { devices, line } = await chooseRankDevices(two, source);
  expect(devices).toBeUndefined();
  expect(line).toMatch(/^warning: all 2 ranks share one device/);
  expect(line).toContain(why);
});

test("what was named stays, and one rank asks nothing", async () => {
  const never: CardSource = {
    cards: () => Promise.reject(new Error("asked for cards")),
    drivers: () => Promise.reject(new Error("asked for drivers")),
  };
  expect(await chooseRankDevices({ ...two, devices: ["a", "b"] }, never)).toEqual({ devices: ["a", "b"] });
  expect((await chooseRankDevices({ ...two, cfgParallelSize: 1 }, never)).line).toBeUndefined();
  const named = await chooseRankDevices({ ...two, device: "llvmpipe" }, never);
  expect(named.devices).toBeUndefined();
  expect(named.line).toContain("--devices");
});
