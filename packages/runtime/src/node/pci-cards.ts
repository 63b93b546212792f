/**
 * One of several equal cards. Dawn picks drivers by name, which does not tell them apart; on Linux Mesa's Vulkan layer for
 * device selection (of the package mesa-vulkan-drivers, for cards of all makers) shows a process only the card at a PCI address.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DeviceError, UsageError } from "../errors.js";

export interface PciCard {
  /** `0000:3b:00.0` */
  readonly address: string;
  /** Maker and model as PCI has them, in hexadecimal: `10de`, `2335`. */
  readonly vendor: string;
  readonly device: string;
}

const PREFIX = "pci:";
const FOLDER = "/sys/bus/pci/devices";
/** What WebGPU calls makers of cards, by their PCI number. */
const VENDORS: Readonly<Record<string, string>> = { "10de": "nvidia", "1002": "amd", "8086": "intel" };

/** Graphics cards of this machine by address; none where the system does not say (only Linux does). */
export async function listPciCards(folder = FOLDER): Promise<PciCard[]> {
  const read = async (address: string, file: string) =>
    (await readFile(join(folder, address, file), "utf8")).trim().replace(/^0x/, "");
  let addresses: string[];
  try {
    addresses = (await readdir(folder)).sort();
  } catch {
    return [];
  }
  const cards: PciCard[] = [];
  for (const address of addresses) {
    try {
      // Display controllers: 03.
      if (!(await read(address, "class")).startsWith("03")) continue;
      const [vendor, device] = [await read(address, "vendor"), await read(address, "device")];
      cards.push({ address, vendor, device });
    } catch {
      // Gone since it was listed.
    }
  }
  return cards;
}

/** Whether a device's name is an address, `pci:0000:3b:00.0`. */
export function isPciAddress(name: string): boolean {
  return name.startsWith(PREFIX);
}

/**
 * The card that a name means; the domain may be left out, or have eight digits as NVIDIA's tools write it.
 * @throws UsageError `UNKNOWN_CARD` with the cards that are there
 */
export function findPciCard(name: string, cards: readonly PciCard[]): PciCard {
  const text = name.slice(PREFIX.length).toLowerCase();
  const match = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])$/.exec(text);
  const address = match && `${(match[1] ?? "0000").slice(-4)}:${match[2]}`;
  const card = cards.find((one) => one.address === address);
  if (card) return card;
  const there = cards.map((one) => PREFIX + one.address).join(", ");
  throw new UsageError("UNKNOWN_CARD", `there is no graphics card ${name}`, {
    fix: there ? `Use one of: ${there}.` : "This system lists no cards by PCI address: use a driver's name.",
  });
}

/** Variables by which Mesa's layer shows one card only, set while `body` runs. It must do what it does at once. */
export function withPciCard<T>({ address }: PciCard, body: () => T): T {
  const variables = {
    DRI_PRIME: `pci-${address.replaceAll(/[:.]/g, "_")}`,
    MESA_VK_DEVICE_SELECT_FORCE_DEFAULT_DEVICE: "1",
  };
  const former = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  try {
    return body();
  } finally {
    for (const [name, value] of former) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/**
 * That it was this card which was shown, as far as can be seen.
 * @param shown names of the drivers that the process saw
 * @throws DeviceError `CARD_NOT_SHOWN` when there were others too, or it is another maker's
 */
export function checkPciCard(
  card: PciCard,
  shown: readonly string[],
  vendor: string,
  cards: readonly PciCard[],
): void {
  const expected = VENDORS[card.vendor];
  const isOther = expected !== undefined && vendor !== "" && vendor !== expected;
  if (!isOther && (shown.length === 1 || cards.length === 1)) return;
  const seen = isOther ? `the driver is ${vendor}'s` : `${shown.length} drivers are shown`;
  throw new DeviceError("CARD_NOT_SHOWN", `the card ${PREFIX}${card.address} could not be picked: ${seen}`, {
    fix: "Install Mesa's Vulkan layer for device selection (mesa-vulkan-drivers 22.2 or newer) and the card's own driver, or let the process see one card only (docs/deploy.md).",
  });
}
