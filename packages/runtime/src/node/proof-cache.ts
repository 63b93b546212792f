/** Remembers what was proved of a driver, so that a process starts without trying it again. */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import type { Device } from "../device/device.js";
import type { DeviceInfo } from "../device/device-info.js";
import { type Disproof, disprove } from "../device/proof.js";

/** Counts up when what is tried changes. */
const TRIAL = 1;

const disproof = z.strictObject({ f16: z.string().optional(), matrices: z.string().optional() });
const file = z.record(z.string(), disproof);

/** `proofs.json` in `$XDG_CACHE_HOME/lvsa`, else in `~/.cache/lvsa`. */
export function proofFile(environment: NodeJS.ProcessEnv = process.env): string {
  const base = environment.XDG_CACHE_HOME;
  // The XDG specification says that relative paths are to be ignored.
  return join(base?.startsWith("/") ? base : join(homedir(), ".cache"), "lvsa", "proofs.json");
}

/** `disprove`, or what it found before for the same adapter, driver and Dawn. A cache that can not be used is not. */
export async function rememberedProof(device: Device, path: string, dawn: string): Promise<Disproof> {
  const key = proofKey(device.info, dawn);
  const known = await readProofs(path);
  const found = known[key];
  if (found) return withoutUndefined(found);
  const fresh = await disprove(device);
  await writeProofs(path, { ...known, [key]: fresh });
  return fresh;
}

/** Driver versions stand in the description. */
function proofKey({ vendor, architecture, device, description }: DeviceInfo, dawn: string): string {
  return [TRIAL, dawn, vendor, architecture, device, description].join("|");
}

async function readProofs(path: string): Promise<z.infer<typeof file>> {
  try {
    return file.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return {}; // not there, or not ours: it is written anew
  }
}

async function writeProofs(path: string, proofs: z.infer<typeof file>): Promise<void> {
  const beside = `${path}.${process.pid}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(beside, `${JSON.stringify(proofs, undefined, 2)}\n`);
    await rename(beside, path);
  } catch {
    // A folder that can not be written to costs a trial at every start, nothing else.
  }
}

function withoutUndefined(found: z.infer<typeof disproof>): Disproof {
  return {
    ...(found.f16 === undefined ? {} : { f16: found.f16 }),
    ...(found.matrices === undefined ? {} : { matrices: found.matrices }),
  };
}
