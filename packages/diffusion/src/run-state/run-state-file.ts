/** Run states as safetensors files: latents and other tensors by name, the rest as JSON in the header. */
import { encodeSafetensors, openSafetensors, type TensorToWrite, WeightsError } from "@lvsa/runtime";
import * as z from "zod";
import type { HostTensor } from "../pipelines/host-tensor.js";
import { parseSeed, seedForJson } from "../random/seed.js";
import type { RunState } from "./run-state.js";
import type { PartState } from "./stateful.js";

type ByteSource = Parameters<typeof openSafetensors>[0];

/** Key in the header's metadata. */
const KEY = "lvsa_run_state";
const LATENTS = "latents";
const ANEW = "Where this one is damaged, begin the run anew.";

const value = z.union([z.number(), z.string(), z.boolean(), z.null(), z.array(z.number())]);
const schema = z.object({
  version: z.literal(1),
  family: z.string(),
  step: z.int().min(1),
  timesteps: z.array(z.number()).min(1),
  seed: z.union([z.int(), z.string()]),
  startedFromLatents: z.boolean(),
  settings: z.record(z.string(), z.union([z.number(), z.string(), z.boolean(), z.null()])),
  parts: z.record(
    z.string(),
    z.object({ values: z.record(z.string(), value), tensors: z.array(z.string()) }),
  ),
});

/**
 * The bytes of a file. The tensor `latents` is that of any latents file, so that what reads those reads this too.
 *
 * @param metadata further texts for the header
 */
export function encodeRunState(state: RunState, metadata: Readonly<Record<string, string>> = {}): Uint8Array {
  const tensors: Record<string, TensorToWrite> = { [LATENTS]: stored(state.latents) };
  const parts: Record<string, unknown> = {};
  for (const [part, { values, tensors: own }] of Object.entries(state.parts)) {
    for (const [name, tensor] of Object.entries(own)) tensors[`${part}.${name}`] = stored(tensor);
    parts[part] = { values, tensors: Object.keys(own) };
  }
  const { family, step, timesteps, startedFromLatents, settings } = state;
  const json = { version: 1, family, step, timesteps, seed: seedForJson(state.seed), startedFromLatents };
  return encodeSafetensors(tensors, { ...metadata, [KEY]: JSON.stringify({ ...json, settings, parts }) });
}

/**
 * Reads what `encodeRunState` wrote. `undefined` for a safetensors file that is no run state.
 *
 * @throws WeightsError for a file that is cut off; `BAD_RUN_STATE` for one of another version, or whose numbers are none
 */
export async function readRunState(
  bytes: ByteSource,
): Promise<{ readonly state: RunState; readonly metadata: Readonly<Record<string, string>> } | undefined> {
  const source = await openSafetensors(bytes).catch((cause: unknown) => {
    if (!(cause instanceof WeightsError)) throw cause;
    // Its advice is for checkpoints, which can be had again.
    throw new WeightsError(cause.code, cause.message, {
      ...(cause.where ? { where: cause.where } : {}),
      fix: ANEW,
      cause,
    });
  });
  try {
    const text = source.metadata[KEY];
    if (text === undefined) return undefined;
    const parsed = schema.safeParse(jsonOf(text));
    if (!parsed.success) throw damaged(z.prettifyError(parsed.error));
    const { version: _, parts, seed: digits, ...rest } = parsed.data;
    const seed = parseSeed(String(digits));
    if (seed === undefined) throw damaged(`the seed is "${digits}"`);
    const tensor = async (name: string): Promise<HostTensor> => {
      const info = source.has(name) ? source.info(name) : undefined;
      if (info?.dtype !== "F32") throw damaged(`there is no float32 tensor "${name}"`);
      // A copy starts on a multiple of four bytes.
      const data = new Float32Array(new Uint8Array(await source.read(name)).buffer);
      const bad = data.findIndex((one) => !Number.isFinite(one));
      if (bad >= 0) throw damaged(`"${name}" holds ${data[bad]} at element ${bad}`);
      return { data, shape: info.shape };
    };
    const read: Record<string, PartState> = {};
    for (const [part, { values, tensors }] of Object.entries(parts)) {
      const own: Record<string, HostTensor> = {};
      for (const name of tensors) own[name] = await tensor(`${part}.${name}`);
      read[part] = { values, tensors: own };
    }
    return {
      state: { ...rest, seed, latents: await tensor(LATENTS), parts: read },
      metadata: source.metadata,
    };
  } finally {
    await source.close();
  }
}

function stored({ data, shape }: HostTensor): TensorToWrite {
  return { dtype: "F32", shape, data };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw damaged("its header holds no JSON");
  }
}

function damaged(what: string): WeightsError {
  return new WeightsError("BAD_RUN_STATE", `the file is no run state that can be read: ${what}`, {
    fix: `Take a file that a run of this version wrote. ${ANEW}`,
  });
}
