/** Which devices ranks take where nobody named them: a card each, if the machine has equal ones that can be told apart. */
import { type AdapterName, listAdapters, listPciCards, type PciCard } from "@lvsa/runtime/node";
import { type ParallelFields, worldSize } from "../options/parallel-options.js";

/** What is asked of the machine. */
export interface CardSource {
  /** Graphics cards by PCI address. */
  cards(): Promise<readonly PciCard[]>;
  /** Drivers that a process sees, or would see if it were given one card. */
  drivers(card?: PciCard): Promise<readonly AdapterName[]>;
}

export interface RankDevices {
  /** What `--device` takes, for each rank; undefined: `--device` for all. */
  readonly devices?: readonly string[] | undefined;
  /** For people: what was chosen for them. */
  readonly line?: string;
}

const MACHINE: CardSource = { cards: () => listPciCards(), drivers: (card) => listAdapters(card) };

/** Cards of one kind, so that ranks compute alike and none waits for a slower one. */
export async function chooseRankDevices(
  options: ParallelFields & { readonly device: string },
  machine: CardSource = MACHINE,
): Promise<RankDevices> {
  const ranks = worldSize(options);
  if (ranks === 1 || options.devices) return { devices: options.devices };
  const shared = `warning: all ${ranks} ranks share one device, and take longer than one rank alone`;
  if (options.device !== "auto") return { line: `${shared}: --devices gives each its own.` };
  const kinds = kindsOf(await machine.cards()).filter((cards) => cards.length >= ranks);
  for (const kind of kinds) {
    const chosen = kind.slice(0, ranks);
    if (!(await canPick(chosen, machine))) continue;
    const devices = chosen.map(({ address }) => `pci:${address}`);
    return { devices, line: `A card for each rank: ${devices.join(", ")} (--devices: others).` };
  }
  const [largest] = kinds;
  if (!largest) return { line: `${shared}: this machine lists no ${ranks} equal cards (lvsa doctor).` };
  return {
    line: `${shared}: ${largest.length} equal cards are listed, but this process can not pick one of them (docs/deploy.md).`,
  };
}

/** Most cards first. */
function kindsOf(cards: readonly PciCard[]): PciCard[][] {
  const kinds = new Map<string, PciCard[]>();
  for (const card of cards) {
    const name = `${card.vendor}:${card.device}`;
    kinds.set(name, [...(kinds.get(name) ?? []), card]);
  }
  return [...kinds.values()].sort((a, b) => b.length - a.length);
}

/**
 * The system lists cards that a container can not open, and without Mesa's layer all of them are shown whichever is asked for:
 * a driver must be there as often as cards are taken, and alone when one is picked.
 */
async function canPick(cards: readonly PciCard[], machine: CardSource): Promise<boolean> {
  try {
    const all = (await machine.drivers()).map(({ name }) => name);
    for (const card of cards) {
      const [shown, ...others] = await machine.drivers(card);
      if (!shown || others.length > 0) return false;
      if (all.filter((name) => name === shown.name).length < cards.length) return false;
    }
    return true;
  } catch {
    // No drivers at all: the device that is opened next says so.
    return false;
  }
}
