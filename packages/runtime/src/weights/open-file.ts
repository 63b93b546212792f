/** One file of weights, whichever format it has: told by its first bytes, not by its name. */
import { checkOptionKinds } from "../errors.js";
import type { ByteSource } from "./byte-source.js";
import { SCALED_DTYPES, type ScaledDType } from "./converted-tensor.js";
import type { GgufWeights } from "./gguf/gguf-weights.js";
import { weightsError } from "./header.js";
import { openSafetensors } from "./safetensors-weights.js";
import type { WeightSource } from "./weight-source.js";

/** A file that is opened when it is read, and may be opened again. */
export interface WeightsFile {
  /** Path or address, for messages. */
  readonly name: string;
  /** The caller closes it. @throws WeightsError `NOT_FOUND`, `READ_FAILED` */
  open(): Promise<ByteSource>;
}

export interface OpenFileOptions {
  /** Type that quantized tensors are read as. Default F32. */
  readonly scaledDType?: ScaledDType;
}

/**
 * The tensors of a safetensors or GGUF file as plain floats (see `plainWeights`). The caller closes the result.
 * @throws WeightsError `PICKLED_WEIGHTS` for files of `torch.save`, with the command that converts them; as
 *   `openSafetensors`, `plainWeights` and `openGguf`; UsageError `BAD_OPTION`
 */
export async function openWeightsFile(
  file: WeightsFile,
  options: OpenFileOptions = {},
): Promise<WeightSource | GgufWeights> {
  checkOptionKinds({ scaledDType: SCALED_DTYPES }, options, "openWeightsFile");
  const { scaledDType = "F32" } = options;
  const source = await file.open();
  let start: Uint8Array;
  try {
    start = await source.read(0, Math.min(8, source.size));
    if (isPickle(start)) throw pickled(source.name);
  } catch (error) {
    await source.close();
    throw error;
  }
  const { isGguf } = await import("./gguf/gguf-header.js");
  if (isGguf(start)) {
    const { openGguf } = await import("./gguf/gguf-weights.js");
    return openGguf(source, { scaledDType });
  }
  const weights = await openSafetensors(source);
  try {
    // Comes with the first weights.
    const { plainWeights } = await import("./quantized/plain-weights.js");
    return await plainWeights(weights, { scaledDType });
  } catch (error) {
    await weights.close();
    throw error;
  }
}

/** Files of `torch.save`: zip archives, and the bare pickles of before version 1.6. */
function isPickle(start: Uint8Array): boolean {
  const isZip = start[0] === 0x50 && start[1] === 0x4b && start[2] === 3 && start[3] === 4;
  return (
    isZip || (start[0] === 0x80 && start[1]! >= 2 && start[1]! <= 5 && start.length > 2 && start[2] !== 0)
  );
}

function pickled(name: string): Error {
  const file = name.split(/[\\/]/).at(-1) ?? name;
  const target = file.replace(/\.[^.]*$/, "");
  return weightsError(
    "PICKLED_WEIGHTS",
    "the file is a pickle of PyTorch, which can run any program when it is read.",
    {
      where: name,
      fix:
        `Convert it once: python -c "import torch; from safetensors.torch import save_file; ` +
        `d = torch.load('${file}', map_location='cpu', weights_only=True); d = d.get('state_dict', d.get('module', d)); ` +
        `save_file({k: v.contiguous().clone() for k, v in d.items() if torch.is_tensor(v)}, '${target}.safetensors')"`,
    },
  );
}
