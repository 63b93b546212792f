/** Opening one golden case in a test: its parameters, its tensors, its checkpoint folder. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { floatTensor, type GoldenTensors, type ReferenceCase, readSafetensors } from "@lvsa/runtime/testing";

/** `case.json`: what all cases have, and any other keys. */
export interface CaseParameters {
  readonly [key: string]: unknown;
}

export interface OpenedCase {
  readonly name: string;
  readonly parameters: CaseParameters;
  readonly tensors: GoldenTensors;
  /** Absolute path of the checkpoint folder, which may belong to another case. */
  readonly checkpoint: string;
}

export function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}

/** Parameters and tensors of a case folder. */
export async function openCase({ name, directory }: ReferenceCase): Promise<OpenedCase> {
  const parameters = readJson(join(directory, "case.json"));
  return {
    name,
    parameters,
    tensors: await readSafetensors(join(directory, "expected.safetensors")),
    checkpoint: join(directory, String(parameters.checkpoint ?? "checkpoint")),
  };
}

/** Whether the case folder is there whole: the repository keeps a lean copy. */
export function hasExpected({ directory }: ReferenceCase): boolean {
  return existsSync(join(directory, "case.json")) && existsSync(join(directory, "expected.safetensors"));
}

export function values(tensors: GoldenTensors, name: string): number[] {
  const tensor = tensors[name];
  if (!tensor) throw new Error(`no tensor "${name}"; there are ${Object.keys(tensors).join(", ")}`);
  return Array.from(tensor.data);
}

/** Row `index` of a tensor whose first axis counts steps. */
export function row(tensors: GoldenTensors, name: string, index: number): Float32Array {
  const { data, shape } = floatTensor(tensors, name);
  const size = data.length / shape[0]!;
  return data.subarray(index * size, (index + 1) * size);
}
