/** Errors about a tensor name it and the file that holds it, whoever below found the fault. */
import { ConfigError, DeviceError, isLvsaError, LvsaError, ShapeError, WeightsError } from "../errors.js";
import { quoted } from "../printable.js";
import type { WeightSource } from "./weight-source.js";

/**
 * Does something with a tensor of `source`.
 *
 * @throws what `work` throws; an error of this family that does not say the tensor's name, or no file, is made one that does,
 *   with the same class, code, fix and fault. Stopping is passed on as it is.
 */
export async function namingTensor<T>(
  source: Pick<WeightSource, "has" | "info">,
  name: string,
  work: () => T | Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw withTensor(error, source, name);
  }
}

function withTensor(error: unknown, source: Pick<WeightSource, "has" | "info">, name: string): unknown {
  if (!isLvsaError(error) || error.code === "ABORTED") return error;
  // A short name may be part of any word.
  const isNamed =
    error.message.includes(quoted(name)) || (name.includes(".") && error.message.includes(name));
  const where = error.where ?? (source.has(name) ? source.info(name).file : undefined);
  if (isNamed && where === error.where) return error;
  const Kind =
    [DeviceError, ShapeError, WeightsError, ConfigError].find((kind) => error instanceof kind) ?? LvsaError;
  return new Kind(error.code, isNamed ? error.message : `tensor ${quoted(name)}: ${error.message}`, {
    ...(error.fix === undefined ? {} : { fix: error.fix }),
    ...(where === undefined ? {} : { where }),
    fault: error.fault,
    cause: error,
  });
}
