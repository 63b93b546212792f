/** Cards by PCI address: which are there, which is meant, and whether it was picked. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createDevice } from "./create-device.js";
import { checkPciCard, findPciCard, listPciCards, type PciCard, withPciCard } from "./pci-cards.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "pci-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function device(address: string, kind: string, vendor: string, model: string): Promise<void> {
  await mkdir(join(folder, address));
  const files = { class: `${kind}\n`, vendor: `${vendor}\n`, device: `${model}\n` };
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, address, name), text);
}

const CARDS: PciCard[] = [
  { address: "0000:3b:00.0", vendor: "10de", device: "2335" },
  { address: "0001:af:00.0", vendor: "10de", device: "2335" },
];

test("lists display controllers of all kinds, in order, and nothing else", async () => {
  await device("0001:af:00.0", "0x030200", "0x10de", "0x2335");
  await device("0000:3b:00.0", "0x030000", "0x1002", "0x744c");
  await device("0000:01:00.0", "0x020000", "0x8086", "0x1533");
  await mkdir(join(folder, "0000:00:1f.0"));
  expect(await listPciCards(folder)).toEqual([
    { address: "0000:3b:00.0", vendor: "1002", device: "744c" },
    { address: "0001:af:00.0", vendor: "10de", device: "2335" },
  ]);
  expect(await listPciCards(join(folder, "none"))).toEqual([]);
});

test("takes addresses as lspci and nvidia-smi write them, and names those that are there", () => {
  for (const name of ["pci:0000:3b:00.0", "pci:3b:00.0", "pci:00000000:3B:00.0"])
    expect(findPciCard(name, CARDS)).toBe(CARDS[0]);
  expect(findPciCard("pci:0001:af:00.0", CARDS)).toBe(CARDS[1]);
  for (const name of ["pci:af:00.0", "pci:1", "pci:", "pci:../../etc"])
    expect(() => findPciCard(name, CARDS)).toThrow(
      expect.objectContaining({ code: "UNKNOWN_CARD", fix: expect.stringContaining("pci:0001:af:00.0") }),
    );
});

test("sets the layer's variables for one call, and puts back what was there", () => {
  const former = process.env.DRI_PRIME;
  process.env.DRI_PRIME = "0";
  try {
    const seen = withPciCard(CARDS[1]!, () => ({
      prime: process.env.DRI_PRIME,
      forced: process.env.MESA_VK_DEVICE_SELECT_FORCE_DEFAULT_DEVICE,
    }));
    expect(seen).toEqual({ prime: "pci-0001_af_00_0", forced: "1" });
    expect(() =>
      withPciCard(CARDS[0]!, () => {
        throw new Error("no driver");
      }),
    ).toThrow("no driver");
    expect(process.env.DRI_PRIME).toBe("0");
    expect(process.env.MESA_VK_DEVICE_SELECT_FORCE_DEFAULT_DEVICE).toBeUndefined();
  } finally {
    if (former === undefined) delete process.env.DRI_PRIME;
    else process.env.DRI_PRIME = former;
  }
});

test("other drivers beside it, or another maker's, are an error: the wrong card would be as good as the right one", () => {
  expect(() => checkPciCard(CARDS[0]!, ["NVIDIA H200"], "nvidia", CARDS)).not.toThrow();
  // The only card needs no layer.
  expect(() =>
    checkPciCard(CARDS[0]!, ["NVIDIA H200", "llvmpipe"], "nvidia", CARDS.slice(0, 1)),
  ).not.toThrow();
  for (const [shown, vendor] of [
    [["NVIDIA H200", "NVIDIA H200"], "nvidia"],
    [["llvmpipe"], "mesa"],
  ] as const)
    expect(() => checkPciCard(CARDS[0]!, shown, vendor, CARDS)).toThrow(
      expect.objectContaining({ code: "CARD_NOT_SHOWN" }),
    );
});

test("a card that is not there is said before any driver is opened", async () => {
  await expect(createDevice({ adapter: "pci:00:ff.7" })).rejects.toMatchObject({ code: "UNKNOWN_CARD" });
});
